"""Writing to disk: a failure to flush is told."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

import pytest

from polygon_fundamentals.lake.storage import local


class _Failing:
    """A C library whose `syncfs` fails as a dying disk makes it fail."""

    def __init__(self, number: int) -> None:
        self.number = number

    def syncfs(self, _: int) -> int:
        ctypes.set_errno(self.number)
        return -1


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_did_not_take_the_data_is_no_success(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_LIBC", _Failing(number))
    with pytest.raises(OSError, match=str(tmp_path)) as caught:
        local.flush_to_disk(tmp_path)
    assert caught.value.errno == number


def test_a_kernel_without_the_call_flushes_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(local, "_LIBC", _Failing(errno.ENOSYS))
    monkeypatch.setattr(local.os, "sync", lambda: synced.append(True))
    local.flush_to_disk(tmp_path)
    assert synced == [True]
