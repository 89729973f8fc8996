"""Forked processes that do one thing and tell what came of it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from campaign import faults
from campaign.draw import SIGNALS
from flows.runtime.interrupt import give_up
from polygon_fundamentals.errors import FundamentalsError

LEFT_SECONDS = 30.0  # what ends a server whose command was killed waits 20 before it insists
PATIENCE = 60.0  # seconds, of a machine that has nothing else to do


@dataclass(frozen=True)
class Ended:
    """How a process ended: what it returned, the documented error it failed with, or a traceback.

    `of_disk`: the error is the file system's own. `asked`: the seconds since a signal asked for the
    end; `interrupted`: it ended for that reason.
    """

    status: int
    returned: Any = None
    error: str = ""
    crash: str = ""
    of_disk: bool = False
    asked: float | None = None
    interrupted: bool = False


class Child:
    """A fork of this process that does some work under some troubles."""

    def __init__(
        self,
        work: Callable[[], Any],
        root: Path,
        troubles: Sequence[Mapping[str, Any]] = (),
        pause: float = 0.0,
        log: Path | None = None,
    ) -> None:
        inward, outward = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(inward)
            _do(work, root, troubles, pause, outward, log)
        os.close(outward)
        self._inward = inward

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self, patience: float = PATIENCE) -> Ended:
        """Wait for the end; a process that takes too long is killed and counts as a hang."""
        patience *= load_factor()
        text, until = b"", time.monotonic() + patience
        os.set_blocking(self._inward, False)
        import select

        while True:
            if select.select([self._inward], [], [], max(0.0, until - time.monotonic()))[0]:
                piece = os.read(self._inward, 1 << 20)
                text += piece
                if not piece:
                    break
            else:
                os.kill(self.pid, signal.SIGABRT)
                break
        os.close(self._inward)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status == -signal.SIGABRT:
            return Ended(status, crash=f"it did not end within {patience:.0f} s")
        try:
            return Ended(status, **json.loads(text))
        except ValueError:
            return Ended(
                status, crash="" if status == -signal.SIGKILL else f"status {status}, no word"
            )


def load_factor() -> float:
    """Return how much longer work takes on this machine now than when it has nothing else to do."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _do(
    work: Callable[[], Any],
    root: Path,
    troubles: Sequence[Mapping[str, Any]],
    pause: float,
    outward: int,
    log: Path | None,
) -> None:
    write = os.write
    try:
        _answer_signals(give_up if SIGNALS & {t["kind"] for t in troubles} else signal.SIG_IGN)
        target = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(target, 1)
        os.dup2(target, 2)
        ended: dict[str, Any] = {}
        try:
            try:
                faults.arm(root, list(troubles), pause)
                result = work()
                ended["returned"] = (
                    asdict(result) if hasattr(result, "__dataclass_fields__") else result
                )
            except (FundamentalsError, OSError) as error:
                ended["error"] = f"{type(error).__name__}: {error}"[:500]
                ended["of_disk"] = not isinstance(error, FundamentalsError)
            _answer_signals(signal.SIG_IGN)
        except KeyboardInterrupt:
            ended = {"interrupted": True}
        except BaseException:  # noqa: BLE001 - whatever it is, it is told
            ended["crash"] = traceback.format_exc()[-4000:]
        if faults.asked:
            ended["asked"] = time.monotonic() - faults.asked[0]
        data = memoryview(json.dumps(ended, default=str).encode())
        while data:
            data = data[write(outward, data) :]
    finally:
        sys.stdout = sys.stderr = None
        os._exit(0)


def _answer_signals(how: Any) -> None:
    """Answer as a command does, or not at all: those of the campaign are for its driver."""
    for name in SIGNALS:
        signal.signal(signal.Signals[name], how)


def _other_children(known: int) -> list[int]:
    """Return the processes that are children of this one, the vendor left out."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in pids if int(pid) != known]


def adopt_orphans() -> None:
    """Become the parent of what processes of ours leave behind, so that it is seen."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def left_process(vendor: int) -> str:
    """Return the words of a process that outlives its command by more than some seconds.

    Prefect's temporary server ends by itself where the command that started it was killed.
    """
    until = time.monotonic() + LEFT_SECONDS
    while others := _other_children(vendor):
        with suppress(ChildProcessError):
            os.waitpid(others[0], os.WNOHANG)
        if time.monotonic() > until:
            words = Path(f"/proc/{others[0]}/cmdline").read_bytes().replace(b"\0", b" ")
            return words.decode(errors="replace").strip() or "one that has ended"
        time.sleep(0.05)
    return ""
