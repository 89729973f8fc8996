"""The pointer `bronze/fundamentals`: how it becomes a link, how it moves, how to read through it.

Each change is one atomic call of the file system, so that the path leads somewhere at every
moment. `point` arguments are called with the name of the moment just reached: the tests of
kills stop a process there.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.lake.paths import POINTER, V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.statements import Generation, Statement

Point = Callable[[str], None]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)


class NoExchangeError(LakeError):
    """The system or the file system cannot swap two names in one call."""


def nothing(_: str) -> None:
    """The `point` of a real run: goes on."""


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
        case = "tells letter case apart" if self.letter_case else "does not tell letter case apart"
        return f"{able}, {links}, {case}"


def probe(lake: Lake) -> Probe:
    """Try in a folder of its own under `bronze/` what a switch needs; leave nothing behind.

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
        raise LakeError(f"{folder.parent} does not hold locks; use a file system that does")
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


def holds_data(folder: Path) -> bool:
    """Say whether a generation's folder is there and holds a dataset."""
    return any((folder / statement).is_dir() for statement in Statement)


def leads_to(lake: Lake) -> Generation | None:
    """Return where the pointer leads, or None where there is no pointer at all.

    Raises:
        LakeError: it leads to neither generation, or to one whose folder is not there.
    """
    if not lake.pointer.is_symlink():
        return Generation.V1 if lake.pointer.exists() else None
    generation = lake.primary
    if not lake.pointer.exists():
        raise LakeError(
            f"{lake.pointer} leads to {os.readlink(lake.pointer)}, which is not there; put "
            "that folder back (`python -m flows restore --execute` for an archived v1)"
        )
    return generation


def check_folders(lake: Lake) -> None:
    """Refuse a lake in which it is not clear which folder is v1's.

    Raises:
        LakeError: both names of v1 are folders, or one is neither folder nor link.
    """
    archive = lake.bronze / V1_ARCHIVE
    if lake.pointer.is_symlink():
        leads_to(lake)
        return
    if lake.pointer.exists() and not lake.pointer.is_dir():
        raise LakeError(f"{lake.pointer} is a file; move it away, then run again")
    if lake.pointer.exists() and archive.exists():
        raise LakeError(
            f"{lake.pointer} and {archive} are both folders, so which of them is v1 is unclear; "
            "move one away, then run again"
        )


def adopt(lake: Lake, *, allow_gap: bool = False, point: Point = nothing) -> bool:
    """Turn v1's real folder into a link to it under its archive name; say whether it was one.

    Safe to repeat, and to go on with after a kill. With no v1 folder nothing is done.

    Raises:
        NoExchangeError: no call for it here, and `allow_gap` is off.
        LakeError, UsageError: as `check_folders` and `refuse_mounts`.
    """
    check_folders(lake)
    archive = lake.bronze / V1_ARCHIVE
    if lake.pointer.is_symlink():
        return False
    if not lake.pointer.exists():
        if archive.is_dir() and not archive.is_symlink():  # cut off within the gap
            lake.pointer.symlink_to(V1_ARCHIVE)
            return True
        archive.unlink(missing_ok=True)
        return False
    refuse_mounts(lake)
    if not archive.is_symlink():
        archive.symlink_to(V1_ARCHIVE)
    point("link made")
    try:
        exchange(archive, lake.pointer)
    except NoExchangeError:
        archive.unlink()
        if not allow_gap:
            raise
        os.rename(lake.pointer, archive)
        point("within the gap")
        lake.pointer.symlink_to(V1_ARCHIVE)
    except OSError:
        archive.unlink()
        raise
    point("exchanged")
    flush_folder(lake.bronze)
    return True


def point_to(lake: Lake, generation: Generation, point: Point = nothing) -> None:
    """Make the pointer lead to a generation: one rename of a new link over the old.

    Raises:
        LakeError: the generation's folder is not there, or the pointer is still a folder.
    """
    name = V2_FOLDER if generation is Generation.V2 else V1_ARCHIVE
    if not (lake.bronze / name).is_dir():
        raise LakeError(f"{lake.bronze / name} is not there, so {lake.pointer} cannot lead to it")
    if lake.pointer.exists() and not lake.pointer.is_symlink():
        raise LakeError(f"{lake.pointer} is still a folder; it must be adopted first")
    replace_link(lake.pointer, name, point)


def replace_link(link: Path, target: str, point: Point = nothing) -> None:
    """Replace a link (or make it) by one to `target`, in one step, flushed to disk."""
    beside = link.with_name(f".{link.name}.link")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    point("new link beside")
    os.replace(beside, link)
    point("link replaced")
    flush_folder(link.parent)


def flush_folder(folder: Path) -> None:
    """Flush a folder's own entries to disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


@contextmanager
def opened(lake: Lake) -> Iterator[Path]:
    """Yield the primary generation's folder as one path that no switch moves under the reader.

    The folder is held open, so even the very first cutover, which renames v1's folder,
    leaves a reader on the generation it began with.

    Raises:
        LakeError: the pointer leads nowhere.
    """
    try:
        descriptor = os.open(lake.pointer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise LakeError(
            f"{lake.pointer} is not there; load something first, or name another --lake"
        ) from error
    try:
        held = Path(f"/proc/self/fd/{descriptor}")
        # Elsewhere than on Linux a held folder has no path: the resolved one must do.
        yield held if held.exists() else Path(os.path.realpath(lake.pointer))
    finally:
        os.close(descriptor)
