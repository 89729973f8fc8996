"""Running the server of `serve-v1`: its socket, its patience with slow clients, its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.v1_view.gate import error_body

# From connecting, or from the first byte of a further request, until its head has come.
REQUEST_SECONDS = 10.0
# Until a client must have taken an answer, and how long it may stay without a further request.
ANSWER_SECONDS = 60.0
STOP_SECONDS = 10
# With more connections than this, those that have waited longest for a request are closed.
MAX_CONNECTIONS = 800
_FILES_BESIDE = 200
_DRAINED_BYTES = 4_000_000
_DRAIN_SECONDS = 5.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 for clients that may be slow, or pretend to be: neither keeps others waiting."""

    max_connections = MAX_CONNECTIONS
    request_seconds = REQUEST_SECONDS
    answer_seconds = ANSWER_SECONDS

    _timer: asyncio.TimerHandle | None = None
    _has_begun = False
    _since = 0.0
    # Of a request that was refused: the bytes that came after the refusal.
    _refused: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; make room where there are too many connections."""
        super().connection_made(transport)
        self._since = time.monotonic()
        self._has_begun = True
        self._wait(self.request_seconds)
        if len(self.connections) > self.max_connections:
            waiting = [c for c in self.connections if isinstance(c, PatientProtocol)]
            waiting = [c for c in waiting if c.is_waiting and c is not self]
            if waiting:
                min(waiting, key=lambda c: c._since).give_up()

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Go on waiting for the rest of a request's head, or answer it."""
        if self._refused is not None:
            self._refused += len(data)
            if self._refused > _DRAINED_BYTES:
                self.give_up()
            return
        if not self._has_begun and self.is_waiting:
            self._has_begun = True
            self._wait(self.request_seconds)
        super().data_received(data)
        if not self.is_waiting:
            self._wait(self.answer_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the client to take this answer."""
        super().on_response_complete()
        self._has_begun = False
        self._since = time.monotonic()
        self._wait(self.answer_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request or one whose head is too long, in the vendor's envelope."""
        body = error_body(400, "this is not an HTTP request, or its head is longer than 64 KB")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        # A connection closed over unread bytes is reset, and the refusal lost with it.
        self._refused = 0
        self.transport.write_eof()
        self._wait(_DRAIN_SECONDS)

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.give_up)

    def give_up(self) -> None:
        """Close the connection without another word."""
        self.transport.abort()


class _Server(uvicorn.Server):
    """Ends quietly: a signal to stop is not an error."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals to stop; a second one stops at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)

        before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def refuse_open(host: str, has_keys: bool) -> None:
    """Refuse to listen to other machines without keys.

    Raises:
        UsageError: the host is not loopback, and there are no keys.
    """
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback and not has_keys:
        raise UsageError(
            f"--host {host} would serve the lake to everybody who reaches this machine; set "
            "POLYGON_API_KEY or SERVE_V1_KEYS_FILE, or listen on 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UsageError: the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, port), family=family, backlog=2_048)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise UsageError(
            f"cannot listen on {host}:{port} ({reason}); give another --host or --port"
        ) from error
    made.setblocking(False)
    # Else the end of an answer waits until its head is acknowledged, up to 40 ms. asyncio does it
    # by itself only for sockets that were made with TCP's number.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def run(app: Any, sockets: list[socket.socket], started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _FILES_BESIDE
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limited = {"max_connections": max(8, min(MAX_CONNECTIONS, soft - _FILES_BESIDE))}
    config = uvicorn.Config(
        app,
        http=type("Protocol", (PatientProtocol,), limited),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=65_536,
    )
    server = _Server(config)
    started()
    server.run(sockets=sockets)


def log_to_stderr() -> None:
    """Write the access log and what goes wrong to standard error, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    for name, level in (
        ("polygon_fundamentals.serve_v1", logging.INFO),
        ("uvicorn", logging.WARNING),
        ("asyncio", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.handlers = [handler]
