"""What the file system under a lake can do: swapping two names in one call, links, locks.

Folders that are mount points are refused by name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.lake.paths import POINTER, V1_ARCHIVE, V2_FOLDER, Lake

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


class NoExchangeError(LakeError):
    """The system or the file system cannot swap two names in one call."""


def exchange(first: Path, second: Path) -> None:
    """Swap what two names of one folder stand for, in one call of the file system.

    Raises:
        NoExchangeError: the system or the file system has no such call.
        OSError: it refused (a mount point, no permission).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        call, arguments = "renamex_np", (os.fsencode(first), os.fsencode(second), _RENAME_SWAP)
    else:
        call, arguments = (
            "renameat2",
            (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE),
        )
    function = getattr(libc, call, None)
    if function is None:
        raise NoExchangeError(_no_exchange(first.parent, f"this system has no {call}"))
    if function(*arguments) == 0:
        return
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        raise NoExchangeError(_no_exchange(first.parent, f"{call}: {os.strerror(code)}"))
    raise OSError(code, os.strerror(code), str(first))


def _no_exchange(folder: Path, why: str) -> str:
    return (
        f"{folder} cannot swap two names in one call ({why}); move the lake to a local file "
        "system, or accept a gap of some microseconds in which readers find nothing: --allow-gap"
    )


@dataclass(frozen=True)
class Probe:
    """What the file system under the lake can do, as tried."""

    exchange: bool
    hard_links: bool
    letter_case: bool

    def sentence(self) -> str:
        """Return it in one line."""
        able = "swaps names in one call" if self.exchange else "cannot swap names in one call"
        links = "hard links" if self.hard_links else "no hard links"
        case = (
            "distinguishes upper and lower case"
            if self.letter_case
            else "does not distinguish upper and lower case"
        )
        return f"{able}, {links}, {case}"


def probe(lake: Lake) -> Probe:
    """Try in a folder of its own under `bronze/` what a switch needs; return what works.

    Raises:
        UsageError: an address, a mount point, or a lake that cannot be written.
        LakeError: rename or lock do not work as they must.
    """
    lake.prepare()
    refuse_mounts(lake)
    folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=lake.bronze))
    try:
        _try_rename(folder)
        _try_lock(folder)
        return Probe(_has_exchange(folder), _has_links(folder), _tells_case(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_mounts(lake: Lake) -> None:
    """Refuse folders that cannot be renamed because something is mounted on them.

    Raises:
        UsageError: one of the generations' folders is a mount point; it is named.
    """
    mounted = _mount_points()
    for name in (POINTER, V1_ARCHIVE, V2_FOLDER):
        path = lake.bronze / name
        if path.is_symlink() or not path.exists():
            continue
        if os.path.ismount(path) or os.path.realpath(path) in mounted:
            raise UsageError(
                f"{path} is a mount point and cannot be renamed; mount its file system on "
                f"{lake.root} or above instead, then run again"
            )


def _mount_points() -> frozenset[str]:
    """Return what is mounted, bind mounts included; empty where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.split(" ")[4].replace("\\040", " ") for line in lines)


def _try_rename(folder: Path) -> None:
    (folder / "old").write_bytes(b"old")
    (folder / "new").write_bytes(b"new")
    os.replace(folder / "new", folder / "old")
    if (folder / "old").read_bytes() != b"new" or (folder / "new").exists():
        raise LakeError(f"{folder.parent} does not rename atomically; use a local file system")


def _try_lock(folder: Path) -> None:
    first = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    second = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        raise LakeError(f"{folder.parent} does not support locks; use a file system that does")
    finally:
        os.close(second)
        os.close(first)


def _has_exchange(folder: Path) -> bool:
    (folder / "a").mkdir()
    (folder / "b").symlink_to("b")
    try:
        exchange(folder / "a", folder / "b")
    except NoExchangeError:
        return False
    return (folder / "a").is_symlink() and (folder / "b").is_dir()


def _has_links(folder: Path) -> bool:
    try:
        os.link(folder / "old", folder / "linked")
    except OSError:
        return False
    return True


def _tells_case(folder: Path) -> bool:
    (folder / "Case").write_bytes(b"")
    return not (folder / "case").exists()
