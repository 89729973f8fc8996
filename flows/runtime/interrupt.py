"""What Ctrl-C and SIGTERM do to a command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Timer
from types import FrameType
from typing import Any

_CONNECTIONS = "polygon_fundamentals.http.connections"
# What each does in a process that nobody has told otherwise.
_USUAL: dict[signal.Signals, Callable[..., Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


@contextmanager
def ends_when_asked() -> Iterator[None]:
    """Give up every request of this process at SIGINT or SIGTERM, then raise KeyboardInterrupt.

    Without this the main thread would wait for the threads of a run, and they for the server. A
    process that was started with a signal ignored, or that has a handler of its own, keeps it;
    so does a command that runs in another thread.
    """
    here = threading.current_thread() is threading.main_thread()
    ours = [n for n, usual in _USUAL.items() if here and signal.getsignal(n) is usual]
    for number in ours:
        signal.signal(number, give_up)
    hook = sys.unraisablehook
    if ours:
        sys.unraisablehook = partial(_ask_again, hook, ours[0])
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number in ours:
            signal.signal(number, _USUAL[number])
        if ours and _CONNECTIONS in sys.modules:
            sys.modules[_CONNECTIONS].WATCH.resume()


def pass_signals_over() -> None:
    """Ignore SIGINT and SIGTERM from now on, for a process that has done its work.

    While Python shuts down, a signal would replace the process's exit code.
    """
    for number, usual in _USUAL.items():
        if signal.getsignal(number) is usual:
            signal.signal(number, signal.SIG_IGN)


def _ask_again(hook: Callable[..., Any], number: signal.Signals, unraisable: Any) -> None:
    """Send a signal again that arrived in a finaliser, where Python drops what is raised."""
    if unraisable.exc_type is KeyboardInterrupt:
        # After this callback has ended, within which it would be dropped again.
        Timer(0.01, signal.pthread_kill, [threading.main_thread().ident, number]).start()
    else:
        hook(unraisable)


@contextmanager
def sigterm_is_ctrl_c() -> Iterator[None]:
    """Do at SIGTERM in the body as at Ctrl-C, so that it puts back what it began.

    In a flow run, Prefect's own handler gets the signal when that is done. A second SIGTERM is
    passed over until then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, arrived = signal.getsignal(signal.SIGTERM), threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not arrived.is_set():
            arrived.set()
            give_up(number, frame)

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if arrived.is_set() and callable(before):
            signal.raise_signal(signal.SIGTERM)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let SIGINT and SIGTERM take effect at the end of the body only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = list[int]()
    before = {n: signal.signal(n, lambda number, _: arrived.append(number)) for n in _USUAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def give_up(_: int, __: FrameType | None) -> None:
    """End every request of this process, and raise KeyboardInterrupt: a handler of signals."""
    # Importing it would cost `--help` a tenth of a second; without it nothing was asked yet.
    if _CONNECTIONS in sys.modules:
        sys.modules[_CONNECTIONS].WATCH.stop()
    raise KeyboardInterrupt
