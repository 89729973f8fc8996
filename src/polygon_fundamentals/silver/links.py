"""The links that readers of silver open: which build they lead to, and how they move."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pyarrow.parquet as pq

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.paths import SILVER_NOTE, Lake
from polygon_fundamentals.lake.pointer import OnReached, ignore, replace_link
from polygon_fundamentals.lake.silver_files import HISTORY_FOLDER, TABLE, link_of
from polygon_fundamentals.locks import exclusive

HISTORY_TABLE = "fundamentals_history"
LINK_SECONDS = 60.0


def link_history(lake: Lake) -> None:
    """Make the path of the history, which leads through the link of the wide table.

    Raises:
        LakeError: the path is taken by something that is not a link.
    """
    link = lake.silver / HISTORY_TABLE
    refuse_others(link)
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(TABLE, HISTORY_FOLDER))


def refuse_others(link: Path) -> None:
    """Refuse the path of a link that is taken by something else. Raises LakeError."""
    if link.exists() and not link.is_symlink():
        raise LakeError(
            f"{link} is not a link: another tool made it; `polygon-fundamentals silver "
            "--adopt-path` moves such a folder aside (and `--give-path-back` puts it back)"
        )


def lock_link(lake: Lake) -> AbstractContextManager[None]:
    """Return the lock on silver's link, for the moment in which it moves."""
    return exclusive(lake.lock("silver-link"), LINK_SECONDS, "silver's link")


def linked_build(lake: Lake) -> Path | None:
    """Return the build that the link leads to, or None where there is no link yet.

    Raises:
        LakeError: `silver/fundamentals_wide` is a real folder, or a link to nothing.
    """
    link = link_of(lake)
    if link.is_symlink():
        target = Path(os.path.realpath(link))
        if target.is_dir():
            return target
        raise LakeError(
            f"{link} leads to {target}, which is not there; build it: `polygon-fundamentals silver`"
        )
    if link.exists():
        raise LakeError(
            f"{link} is a folder that another tool wrote; run "
            "`polygon-fundamentals silver --adopt-path`, which builds our table and moves the "
            "folder aside, then run again"
        )
    return None


def link_to(lake: Lake, build: Path, on_reached: OnReached = ignore) -> Path:
    """Make silver's link lead to a build, in one step; return the build that it leads to.

    If it leads to a later build of the same generation, it stays: silver may be built again before
    a switch that was cut off goes on.

    Raises:
        LakeError: the build is not there.
    """
    link = link_of(lake)
    link.parent.mkdir(parents=True, exist_ok=True)
    with lock_link(lake):
        if not leads_to_or_past(lake, build):
            lead_to_build(link, build, on_reached)
            linked_build(lake)
        return Path(os.path.realpath(link))


def lead_to_build(link: Path, build: Path, on_reached: OnReached = ignore) -> None:
    """Make a link of silver lead to a build, in one step; the build before stays for a day more.

    A relative link is followed from the folder that its own folder really is, so where the lake
    or `silver/` is reached through a link, only the real paths give the way from one to the other.
    """
    # A rollback within the day finds the build that readers had, however old it is.
    with suppress(FileNotFoundError):
        os.utime(Path(os.path.realpath(link)) / SILVER_NOTE)
    way = os.path.relpath(os.path.realpath(build), os.path.realpath(link.parent))
    replace_link(link, way, on_reached)


def leads_to_or_past(lake: Lake, build: Path) -> bool:
    """Return whether silver's link leads to a build, or to a later one of its generation."""
    link = link_of(lake)
    linked = Path(os.path.realpath(link))
    inside = linked.is_dir() and os.path.samefile(linked.parent, build.parent)
    if not (link.is_symlink() and inside):
        return False
    # A build is named MOMENT-GENERATION.
    same = linked.name.rpartition("-")[2] == build.name.rpartition("-")[2]
    return same and linked.name >= build.name


def build_named(lake: Lake, name: str) -> Path:
    """Return the folder of a build by its name, or by the path that older journals hold.

    Only the name counts: a copied lake goes by builds of its own.
    """
    return lake.silver / "builds" / Path(name).name


def schema_text(build: Path) -> str | None:
    """Return the Arrow schema of a build's files as text, None for a build without rows.

    Raises:
        LakeError: the build's files differ in schema.
    """
    # Not all levels: the history that a build links to has another schema.
    files = sorted({*build.glob("*.parquet"), *build.glob("*/*.parquet")})
    if not files:
        return None
    texts = {pq.read_schema(path).remove_metadata().to_string() for path in files}
    if len(texts) > 1:
        raise LakeError(f"the files of {build} have different schemas; build silver again")
    return str(texts.pop())
