"""What Ctrl-C and SIGTERM do to a command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_CONNECTIONS = "polygon_fundamentals.http.connections"


@contextmanager
def requests_end_at_ctrl_c() -> Iterator[None]:
    """Give up every request of this process when SIGINT arrives, then raise KeyboardInterrupt.

    Without this the main thread would wait for the threads of a run, and they for the server. A
    process that was started with SIGINT ignored, or that has a handler of its own, keeps it;
    so does a command that runs in another thread.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if _CONNECTIONS in sys.modules:
            sys.modules[_CONNECTIONS].WATCH.resume()


@contextmanager
def sigterm_is_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt in the body when SIGTERM arrives, so that it puts back what it began.

    In a flow run, Prefect's own handler gets the signal when that is done. A second SIGTERM is
    passed over until then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, arrived = signal.getsignal(signal.SIGTERM), threading.Event()

    def interrupt(_: int, __: FrameType | None) -> None:
        if not arrived.is_set():
            arrived.set()
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if arrived.is_set() and callable(before):
            signal.raise_signal(signal.SIGTERM)


def _interrupt(_: int, __: FrameType | None) -> None:
    # Importing it would cost `--help` a tenth of a second; without it nothing was asked yet.
    if _CONNECTIONS in sys.modules:
        sys.modules[_CONNECTIONS].WATCH.stop()
    raise KeyboardInterrupt
