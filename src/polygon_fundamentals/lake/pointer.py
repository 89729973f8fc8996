"""The pointer `bronze/fundamentals`: how it becomes a link, how it moves, how to read through it.

Each change is one atomic call of the file system, so that the path leads somewhere at every
moment. `on_reached` arguments are called with the name of the moment just reached: the tests of
kills stop a process there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import probe
from polygon_fundamentals.lake.lost_folders import how_to_load_anew
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.lake.pointer_link import links_to_itself
from polygon_fundamentals.lake.probe import NoExchangeError
from polygon_fundamentals.lake.storage.local import flush_folder
from polygon_fundamentals.statements import Generation, Statement

OnReached = Callable[[str], None]


def ignore(_: str) -> None:
    """The `on_reached` of a real run: goes on."""


def holds_data(folder: Path) -> bool:
    """Return whether a generation's folder is there and holds a dataset."""
    return any((folder / statement).is_dir() for statement in Statement)


def named(lake: Lake) -> Generation | None:
    """Return the generation that the pointer names, be its folder there or not; None: no pointer.

    Raises:
        LakeError: it leads out of the lake.
    """
    if not lake.pointer.is_symlink():
        return Generation.V1 if lake.pointer.exists() else None
    return lake.primary


def leads_to(lake: Lake) -> Generation | None:
    """Return where the pointer leads, or None where there is no pointer at all.

    Raises:
        LakeError: it leads out of the lake, or to a generation whose folder is not there.
    """
    generation = named(lake)
    if generation is not None and not lake.pointer.exists():
        folder = lake.generation_folder(generation)
        if generation is Generation.V1 and folder.is_symlink():
            remedy = f"mount {os.readlink(folder)}, to which it is a link"
        elif generation is Generation.V1:
            remedy = "put it back (`polygon-fundamentals restore --execute` for an archived v1)"
        else:
            remedy = "mount it, or put it back from a backup"
            if holds_data(lake.bronze / V1_ARCHIVE):
                rollback = "`polygon-fundamentals rollback --execute`"
                remedy += f"; meanwhile {rollback} leads readers to v1"
            v2 = [lake.dataset(Generation.V2, statement) for statement in Statement]
            remedy += f". {how_to_load_anew(v2, str(lake.bronze / V2_FOLDER))}"
        raise LakeError(
            f"{lake.pointer} leads to {os.readlink(lake.pointer)}, which is not there; {remedy}"
        )
    return generation


def check_folders(lake: Lake) -> None:
    """Refuse a lake in which it is not clear which folder is v1's.

    Raises:
        LakeError: both names of v1 are folders, one is neither folder nor link, or the pointer
            names neither generation.
    """
    archive = lake.bronze / V1_ARCHIVE
    if lake.pointer.is_symlink():
        named(lake)
        return
    if lake.pointer.exists() and not lake.pointer.is_dir():
        raise LakeError(f"{lake.pointer} is a file; move it away, then run again")
    if lake.pointer.exists() and archive.exists():
        lake.refuse_lost_pointer()


def adopt(lake: Lake, *, allow_gap: bool = False, on_reached: OnReached = ignore) -> bool:
    """Turn v1's folder into a link to it under its archive name; return whether it was a folder.

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
        if archive.is_dir():  # cut off within the gap
            lake.pointer.symlink_to(V1_ARCHIVE)
            return True
        if links_to_itself(archive):
            archive.unlink()
        return False
    probe.refuse_mounts(lake)
    if not archive.is_symlink():
        archive.symlink_to(V1_ARCHIVE)
    on_reached("link made")
    try:
        probe.exchange(archive, lake.pointer)
    except NoExchangeError:
        archive.unlink()
        if not allow_gap:
            raise
        os.rename(lake.pointer, archive)
        on_reached("within the gap")
        lake.pointer.symlink_to(V1_ARCHIVE)
    except OSError:
        archive.unlink()
        raise
    on_reached("exchanged")
    flush_folder(lake.bronze)
    return True


def point_to(lake: Lake, generation: Generation, on_reached: OnReached = ignore) -> None:
    """Make the pointer lead to a generation: one rename of a new link over the old.

    Raises:
        LakeError: the generation's folder is not there, or the pointer is still a folder.
    """
    name = V2_FOLDER if generation is Generation.V2 else V1_ARCHIVE
    if not (lake.bronze / name).is_dir():
        raise LakeError(f"{lake.bronze / name} is not there, so {lake.pointer} cannot lead to it")
    if lake.pointer.exists() and not lake.pointer.is_symlink():
        raise LakeError(
            f"{lake.pointer} is still a folder; it must be turned into a link first "
            "(`polygon-fundamentals cutover --execute` does so)"
        )
    replace_link(lake.pointer, name, on_reached)


def replace_link(link: Path, target: str, on_reached: OnReached = ignore) -> None:
    """Replace a link (or make it) by one to `target`, in one step, flushed to disk."""
    beside = link.with_name(f".{link.name}.link")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    on_reached("new link beside")
    os.replace(beside, link)
    on_reached("link replaced")
    flush_folder(link.parent)


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
        path = Path(f"/proc/self/fd/{descriptor}")
        # Elsewhere than on Linux a held folder has no path: the resolved one must do.
        yield path if path.exists() else Path(os.path.realpath(lake.pointer))
    finally:
        os.close(descriptor)
