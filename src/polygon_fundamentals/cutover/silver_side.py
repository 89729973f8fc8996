"""Silver as the switch sees it: builds beside the present one, and the link to one of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.pointer import Point, lead_to_build, nothing, silver_held
from polygon_fundamentals.statements import Generation

LINK = "fundamentals_wide"


class Silver(Protocol):
    """What builds silver."""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Build silver from a generation, beside the present build; return its folder."""


@dataclass(frozen=True)
class BuiltSilver:
    """The library's own silver table."""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Build silver from a generation without linking it; return its folder."""
        from polygon_fundamentals import silver  # it reads the whole lake's modules

        return Path(silver.build(lake, generation, link=False).path)


def link_of(lake: Lake) -> Path:
    """Return `silver/fundamentals_wide`, the path that readers of silver use."""
    return lake.silver / LINK


def present(lake: Lake) -> Path | None:
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
            f"{link} leads to {target}, which is not there; build it: `python -m flows silver`"
        )
    if link.exists():
        raise LakeError(
            f"{link} is a folder that another tool wrote; move it away and build silver with "
            "`python -m flows silver`, then run again"
        )
    return None


def link_to(lake: Lake, build: Path, point: Point = nothing) -> Path:
    """Make silver's link lead to a build, in one step; return the build that it leads to.

    Where it leads to a later build of the same generation it stays: silver was built since, as it
    may be before a switch that was cut off goes on.

    Raises:
        LakeError: the build is not there.
    """
    link = link_of(lake)
    link.parent.mkdir(parents=True, exist_ok=True)
    with silver_held(lake):
        if not leads_to_or_past(lake, build):
            lead_to_build(link, build, point)
            present(lake)
        return Path(os.path.realpath(link))


def leads_to_or_past(lake: Lake, build: Path) -> bool:
    """Say whether silver's link leads to a build, or to a later one of its generation."""
    link = link_of(lake)
    found = Path(os.path.realpath(link))
    if not (link.is_symlink() and found.is_dir() and os.path.samefile(found.parent, build.parent)):
        return False
    # A build is named MOMENT-GENERATION.
    same = found.name.rpartition("-")[2] == build.name.rpartition("-")[2]
    return same and found.name >= build.name


def build_named(lake: Lake, name: str) -> Path:
    """Return the folder of a build by its name, or by the path that older journals hold.

    Only the name counts: a copied lake goes by builds of its own.
    """
    return lake.silver / "builds" / Path(name).name


def schema_text(build: Path) -> str | None:
    """Return the Arrow schema of a build's files as text, None of a build without rows.

    Raises:
        LakeError: the build's files differ in schema.
    """
    files = sorted(build.rglob("*.parquet"))
    if not files:
        return None
    texts = {pq.read_schema(path).remove_metadata().to_string() for path in files}
    if len(texts) > 1:
        raise LakeError(f"{build}: its files differ in schema; build silver anew")
    return str(texts.pop())
