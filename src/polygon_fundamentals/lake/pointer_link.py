"""Whose link the pointer is: this lake's own, or one that leads out of it, with what to do then."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.statements import Generation, Statement

Folders = Mapping[Generation, Path]


def linked_generation(pointer: Path, folders: Folders, index: Path) -> Generation:
    """Return the generation to whose folder a link leads, be the folder there or not.

    The names alone do not tell: another disk, or the lake that this one was copied from, has
    folders of the same names.

    Raises:
        LakeError: the link leads out of the lake; the text says which commands mend it.
    """
    aim = pointer.parent / os.readlink(pointer)
    for generation, folder in folders.items():
        is_named = aim.name == folder.name and _is_same(aim.parent, folder.parent)
        if is_named or _is_same(aim, folder):
            return generation
    raise LakeError(_refusal(pointer, aim, folders, index))


def links_to_itself(path: Path) -> bool:
    """Return whether a path is the link that a switch leaves where it is cut off."""
    return path.is_symlink() and os.readlink(path) == path.name


def _is_same(first: Path, second: Path) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # one is not there, or leads to itself
        return False


def _refusal(pointer: Path, aim: Path, folders: Folders, index: Path) -> str:
    target = os.readlink(pointer)
    named = next((g for g, folder in folders.items() if folder.name == aim.name), None)
    says = f"{pointer} is a link to {target}, which is not a folder of this lake"
    if named is not None and folders[named].is_dir():
        return (
            f"{says}, as where a lake was moved or copied; lead readers to the lake's own {named}: "
            f"`{_to(folders[named], pointer)}`"
        )
    if not aim.is_dir():
        return f"{says}, and is not there; mount it, then run again"
    free = [g for g, folder in folders.items() if not os.path.lexists(folder)]
    if named in free:
        free = [named]
    if free:
        link = shlex.join(["ln", "-s", target, str(folders[free[0]])])
        return (
            f"{says}. If it holds {free[0]}'s files, leave them there and give the folder the name "
            f"that the lake knows: `{link} && {_to(folders[free[0]], pointer)}`"
        )
    return f"{says}. {_two_of_v1(pointer, target, folders[Generation.V1], index)}"


def _two_of_v1(pointer: Path, target: str, archive: Path, index: Path) -> str:
    """Return what to do where loads have made v1's folder beside a link to v1's files."""
    aside = archive.parent.parent / "v1_loaded"
    indexes = [index / f"{Generation.V1}.{statement}" for statement in Statement]
    commands = [
        ["mv", str(archive), str(aside)],
        ["rm", "-rf", *map(str, indexes)],
        ["ln", "-s", target, str(archive)],
    ]
    joined = " && ".join([*map(shlex.join, commands), _to(archive, pointer)])
    return (
        f"{archive} is there as well, so which of the two is v1 is unclear. If it is {archive}: "
        f"`{_to(archive, pointer)}`. If it is {target}, and the other holds what was loaded since: "
        f"`{joined} && polygon-fundamentals import-v1 {shlex.quote(str(aside))}`"
    )


def _to(folder: Path, pointer: Path) -> str:
    return shlex.join(["ln", "-sfn", folder.name, str(pointer)])
