"""Other files in `bronze/fundamentals`: they stay at their path.

Companion folders and loose files are the user's. They are never copied, and their bytes never
change: while one generation's folder holds an entry, the other's has a link to it, made before the
pointer moves. A cleanup swaps link and entry in one call, so that v1's folder may go.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from polygon_fundamentals.cutover.checksums import printable
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import probe
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.lake.storage.local import flush_folder
from polygon_fundamentals.statements import Generation, Statement

_STATEMENTS = frozenset(statement.value for statement in Statement)
# In v1's archived folder while a cleanup goes on: what `ops/adopted` keeps of v1's files.
ORIGINALS = ".adopted_originals"
_FOLDERS = (V1_ARCHIVE, V2_FOLDER)


def companions(folder: Path) -> list[str]:
    """Return the names of what a generation's folder holds besides its statements, sorted.

    Links to the other generation's entries, which `link_companions` makes, do not count.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    ours = {*_STATEMENTS, ORIGINALS}
    return sorted(n for n in names if n not in ours and not _is_our_link(folder / n))


def _is_our_link(path: Path) -> bool:
    return path.is_symlink() and os.readlink(path) in [
        f"{up}/{folder}/{path.name}"
        for folder in _FOLDERS
        for up in ("..", os.path.realpath(path.parent.parent))
    ]


def our_aim(path: Path) -> str | None:
    """Return where a link leads that `link_companions` made, from a folder of the lake's own."""
    return "/".join(["..", *os.readlink(path).split("/")[-2:]]) if _is_our_link(path) else None


def all_companions(lake: Lake) -> list[str]:
    """Return the names of the companions of both generations' folders, sorted."""
    return sorted({name for g in Generation for name in companions(lake.generation_folder(g))})


def in_both(lake: Lake) -> list[str]:
    """Return the names that are separate entries in both generations' folders."""
    first, second = (set(companions(lake.generation_folder(g))) for g in Generation)
    return sorted(first & second)


def refuse_in_both(lake: Lake) -> None:
    """Refuse a lake in which one path stands for two entries, of which a switch would hide one.

    Raises:
        LakeError: there are some; the first is named.
    """
    both = in_both(lake)
    if both:
        places = " and ".join(str(lake.generation_folder(g) / both[0]) for g in Generation)
        raise LakeError(
            f"{places} both exist ({len(both)} such names), but readers would see only one of them "
            f"at {lake.pointer / both[0]}; move everything into the first, remove the second, then "
            "run again"
        )


def link_companions(lake: Lake, target: Path) -> list[str]:
    """Give a generation's folder links to the other's companions; return their names.

    An entry of the folder's own stays. Safe to repeat.
    """
    source = lake.bronze / (V1_ARCHIVE if target.name == V2_FOLDER else V2_FOLDER)
    if not target.is_dir():
        return []
    names = companions(source)
    # From a folder that is a link to another disk, `..` would lead to what is beside it there.
    up = os.path.realpath(lake.bronze) if target.is_symlink() else ".."
    for name in names:
        if not os.path.lexists(target / name):
            (target / name).symlink_to(f"{up}/{source.name}/{name}")
    if names:
        flush_folder(target)
    return names


def unlink_companions(target: Path) -> None:
    """Remove the links that `link_companions` made."""
    for name in os.listdir(target) if target.is_dir() else ():
        if _is_our_link(target / name):
            (target / name).unlink()


def move_companions(lake: Lake) -> list[str]:
    """Move the companions of v1's archived folder into v2's, each in one call; return their names.

    Their path through the pointer, which leads to v2, stands for the same entry at every moment.
    Safe to repeat, and to go on with after a kill.
    """
    archive, target = lake.bronze / V1_ARCHIVE, lake.bronze / V2_FOLDER
    names = link_companions(lake, target)
    for name in names:
        try:
            probe.exchange(archive / name, target / name)
        except probe.NoExchangeError:  # such a lake was switched with --allow-gap
            (target / name).unlink()
            os.rename(archive / name, target / name)
    unlink_companions(archive)
    if archive.is_dir():
        flush_folder(archive)
        flush_folder(target)
    return names


def refuse_unmovable(lake: Lake) -> None:
    """Refuse companions that v1's folder cannot give up when it goes.

    Raises:
        LakeError: a name is in both folders, is a mount point, or is a link into v1's own data.
    """
    refuse_in_both(lake)
    archive = lake.bronze / V1_ARCHIVE
    for name in companions(archive):
        path = archive / name
        if os.path.ismount(path):
            raise LakeError(f"{path} is a mount point; unmount it, then run again")
        within = os.path.realpath(path).startswith(os.path.realpath(archive) + os.sep)
        if path.is_symlink() and within:
            raise LakeError(
                f"{path} is a link to v1's own data ({os.readlink(path)}), which goes; remove the "
                "link, then run again. Nothing was removed"
            )


def shown(lake: Lake) -> tuple[str, ...]:
    """Return the names of all companions as text that JSON and a terminal take."""
    return tuple(printable(name) for name in all_companions(lake))


def in_words(names: Sequence[str]) -> str:
    """Return companions in words, for a step or a plan."""
    names = [printable(name) for name in names]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
