"""How a load writes, flushes and renames its files in the local file system."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write data to a path in place; `replace_file` is for files that readers open."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Return the name beside `path` under which this thread writes its next content.

    It names host, process namespace, boot, process and thread: none of two writers meets the other,
    and what a killed one left is known as such (`remove_leftovers`).
    """
    writer = f"{_this_host()}-{os.getpid()}-{threading.get_ident():x}"
    return path.with_name(f".{path.name}.{writer}.tmp")


_LEFTOVER = re.compile(r"\..+-(?P<pid>\d+)-[0-9a-f]+\.tmp")


ABANDONED_SECONDS = 24 * 3600.0
_NEVER_WRITTEN_BESIDE = ("adopted", "kept", "drill")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that dead processes left below `folder`.

    Of the processes since this host's last boot it is known which are dead. Another host may never
    come back (a container has a new name each time), so its files count as left behind after a day.
    """
    host = _this_host()
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NEVER_WRITTEN_BESIDE]
        for name in names:
            leftover = _LEFTOVER.fullmatch(name) if name.startswith(".") else None
            if leftover is None:
                continue
            path, is_ours = Path(where, name), f".{host}-{leftover['pid']}-" in name
            if not _is_alive(int(leftover["pid"])) if is_ours else is_abandoned(path):
                path.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    """Return whether a file is so old that the process that wrote it must be gone."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    return False


def process_namespace() -> str:
    """Return which processes this one can see, or an empty text where the system does not say.

    Containers may share a name of the host and see none of each other's processes.
    """
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


@cache
def boot_id() -> str:
    """Return the id of this machine's present boot, or an empty text where the system has none.

    Two hosts may have one name, and the first process namespace of every Linux has one number.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _this_host() -> str:
    number = "".join(filter(str.isdigit, process_namespace()))
    # Of the id a part will do: a name may have 255 bytes.
    return ".".join(filter(None, (socket.gethostname(), number, boot_id()[:8])))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def link_or_copy(path: Path, to: Path) -> None:
    """Give a file a second name, or a copy where the file system has no hard links."""
    try:
        os.link(path, to)
    except FileExistsError:  # a copy would write into it, under all of its names
        raise
    except OSError:
        shutil.copy2(path, to)


def replace_file(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Replace `path` by a new content in one step; `flush` as for `replacing`."""
    with replacing(path, flush=flush) as beside:
        write_bytes(beside, data)


@contextmanager
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """Yield the name of a file to write; at the end it takes `path`'s place.

    It is flushed to disk first. Without `flush` a power cut may leave it empty: only for files that
    are made again if they are damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary_name(path)
    try:
        yield beside
        if flush:
            descriptor = os.open(beside, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def move_into_place(staged: str, path: str) -> None:
    """Rename a flushed file over `path`, with a later time of change than what it replaces."""
    _make_later(staged, path)
    try:
        _replace(staged, path)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _replace(staged, path)


def _replace(staged: str, path: str) -> None:
    try:
        os.replace(staged, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A year may lie on another device: copied beside its place first, it is whole there too.
        with replacing(Path(path)) as beside:
            shutil.copy2(staged, beside)  # with its time: it says when rows were observed
        os.unlink(staged)


def _make_later(staged: str, path: str) -> None:
    """Give a file a later time of change than the one that it replaces.

    Caches know a file's content by its size and time of change, and two writes may fall into one
    tick of the file system's clock (a whole second on some).
    """
    try:
        old, new = os.stat(path), os.stat(staged)
    except FileNotFoundError:
        return
    for later in (1, 1_000_000_000, 2_000_000_000):
        if new.st_mtime_ns > old.st_mtime_ns:
            return
        os.utime(staged, ns=(new.st_atime_ns, old.st_mtime_ns + later))
        new = os.stat(staged)


def remove_empty_folders(folder: Path, until: Path) -> None:
    """Remove a folder and those above it, while they are empty and below `until`."""
    while folder != until and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


_LIBC = ctypes.CDLL(None, use_errno=True)


def flush_to_disk(folder: Path) -> None:
    """Flush what was written to the file system that holds `folder`, all files at once.

    One call for a batch of small files costs a fraction of one call per file.

    Raises:
        OSError: the disk did not take what was written; elsewhere than on Linux it does not say.
    """
    if sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _LIBC.syncfs(descriptor) == 0:
                return
            number = ctypes.get_errno()
        finally:
            os.close(descriptor)
        if number != errno.ENOSYS:  # os.sync() reports nothing: a failure would pass for success
            raise OSError(number, os.strerror(number), str(folder))
    os.sync()


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
