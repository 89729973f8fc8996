"""Connections that end in time: a whole answer has a deadline, and Ctrl-C ends every answer.

A read timeout bounds the wait for the next byte, so a server that sends one byte every few seconds
never meets it. Each thread therefore states until when its answer must be whole, and one watching
thread of the process shuts down the sockets of those that are late. A blocked read then fails like
a connection that the server reset.
"""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests.adapters
import urllib3.connection
import urllib3.connectionpool

from polygon_fundamentals.errors import InterruptedRequestError

_INTERVAL = 0.25


class _Watch:
    """The sockets of this process, by the thread that reads them, and their deadlines."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may come in between
        self._sockets: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._until: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()

    def opened(self, sock: Any) -> None:
        """Remember a socket as the calling thread's.

        The socket, not its connection: an answer that says `Connection: close` outlives that.
        """
        with self._lock:
            self._sockets[sock] = threading.get_ident()

    @contextmanager
    def within(self, seconds: float) -> Iterator[list[bool]]:
        """Shut the calling thread's sockets down unless the block ends within `seconds`.

        Yields:
            A list that is empty at the end, unless the deadline passed.

        Raises:
            InterruptedRequestError: `stop` was called.
        """
        self.refuse_when_stopping()
        me, until = threading.get_ident(), time.monotonic() + seconds
        late: list[bool] = []
        with self._lock:
            self._until[me] = until
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="answers", daemon=True)
                self._thread.start()
        try:
            yield late
        except Exception:
            self.refuse_when_stopping()
            raise
        finally:
            with self._lock:
                self._until.pop(me, None)
            # A body without a stated length that was cut off ends like a whole one.
            if time.monotonic() >= until:
                late.append(True)
        self.refuse_when_stopping()

    def refuse_when_stopping(self) -> None:
        """Raise InterruptedRequestError if `stop` was called."""
        if self.stopping.is_set():
            raise InterruptedRequestError("the run was interrupted; run it again to continue")

    def stop(self) -> None:
        """End every answer that is being read, and let no further request be sent."""
        self.stopping.set()
        with self._lock:
            self._shut_down(set(self._sockets.values()))

    def resume(self) -> None:
        """Let requests be sent again, as for the next command of this process."""
        self.stopping.clear()

    def _watch(self) -> None:
        while True:
            time.sleep(_INTERVAL)
            now = time.monotonic()
            with self._lock:
                if not self._until:
                    self._thread = None
                    return
                late = {thread for thread, until in self._until.items() if until <= now}
                self._shut_down(late)

    def _shut_down(self, threads: set[int]) -> None:
        for sock, thread in list(self._sockets.items()):
            if thread in threads:
                with suppress(OSError):  # it was closed meanwhile
                    sock.shutdown(socket.SHUT_RDWR)


WATCH = _Watch()


class _Http(urllib3.connection.HTTPConnection):
    def connect(self) -> None:
        """Connect, and have the socket watched."""
        super().connect()
        WATCH.opened(self.sock)


class _Https(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        """Connect, and have the socket watched."""
        super().connect()
        WATCH.opened(self.sock)


class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _Https


class WatchedAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections end at their answer's deadline, through proxies too."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of watched connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the proxy's manager, with watched connections (SOCKS keeps its own)."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
        return manager
