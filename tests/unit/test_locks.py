"""Waiting for a lock that another process holds."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from polygon_fundamentals import locks
from polygon_fundamentals.errors import LakeLockedError
from polygon_fundamentals.locks import exclusive, shared

HOLD = "import sys; from pathlib import Path; from polygon_fundamentals.locks import exclusive\n"
HOLD += "with exclusive(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_long_wait_for_a_lock_is_told_and_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WARN_SECONDS", 0.05)
    warned = threading.Event()
    monkeypatch.setattr(locks.log, "warning", lambda *words: (warned.set(), lines.append(words)))
    lines: list[tuple[object, ...]] = []
    path = tmp_path / "v2.cash_flow.07"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LakeLockedError, match=r"lock of v2.cash_flow.07 is held by another run"):
        exclusive(path, 0.1).__enter__()
    got = threading.Event()

    def wait() -> None:
        with shared(path):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert warned.wait(30)
    assert not got.is_set()
    holder.stdin.close()
    waiting.join(30)
    assert got.is_set()
    assert "v2.cash_flow.07" in lines[0]
    holder.wait(30)
