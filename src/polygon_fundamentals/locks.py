"""File locks of the lake: `flock` on small files under `ops/locks/`.

The kernel drops a lock with its process, so a killed run never leaves the lake locked.
On a shared file system they hold between machines where it supports `flock` (NFS does,
as a lock on the server).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from polygon_fundamentals.errors import LakeLockedError

log = logging.getLogger(__name__)
WARN_SECONDS = 30.0


@contextmanager
def exclusive(path: Path, timeout: float | None = None, what: str = "") -> Iterator[None]:
    """Hold the lock file alone while the body runs; wait at most `timeout` seconds for it.

    Without `timeout` it waits as long as it takes.

    Raises:
        LakeLockedError: somebody else still holds it after `timeout`.
    """
    with _held(path, fcntl.LOCK_EX, timeout, what):
        yield


@contextmanager
def shared(path: Path, timeout: float | None = None, what: str = "") -> Iterator[None]:
    """Hold the lock file together with other sharers; wait as `exclusive` does."""
    with _held(path, fcntl.LOCK_SH, timeout, what):
        yield


@contextmanager
def _held(path: Path, kind: int, timeout: float | None, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, kind, timeout, what or path.name)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _telling_of_the_wait(what: str) -> Iterator[None]:
    """Log a warning now and then while the body waits: a stopped process keeps its locks."""
    done = threading.Event()

    def warn() -> None:
        waited = 0.0
        while not done.wait(WARN_SECONDS):
            waited += WARN_SECONDS
            log.warning(
                "waiting for the lock %s for %.0f s; `polygon-fundamentals status` names the runs "
                "under way, and one that is stopped must be continued or killed",
                what,
                waited,
            )

    thread = threading.Thread(target=warn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _lock(descriptor: int, kind: int, timeout: float | None, what: str) -> None:
    if timeout is None:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            with _telling_of_the_wait(what):
                fcntl.flock(descriptor, kind)
        return
    until = time.monotonic() + timeout
    if _got(descriptor, kind):
        return
    with _telling_of_the_wait(what) if timeout > WARN_SECONDS else nullcontext():
        while time.monotonic() < until:
            time.sleep(0.05)
            if _got(descriptor, kind):
                return
    raise LakeLockedError(
        f"the lock of {what} is held by another run; wait for it to end "
        "(`polygon-fundamentals status` names it), then run again"
    )


def _got(descriptor: int, kind: int) -> bool:
    """Take the lock if it is free; return whether it was."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True
