"""Another tool's silver: its folder at the path of our link, and what it writes into our builds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from polygon_fundamentals.errors import AnswerIsNo, LakeError
from polygon_fundamentals.lake import probe
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.silver_files import TABLE, foreign_files, link_of
from polygon_fundamentals.lake.storage.local import flush_folder, remove_empty_folders
from polygon_fundamentals.silver import builds
from polygon_fundamentals.silver.links import lock_link

ASIDE = f"{TABLE}_before"


def move_out(lake: Lake) -> list[str]:
    """Move what another tool wrote into the present build out of it; return where to, sorted.

    Readers of the table cannot open a folder with files of two schemas.
    """
    link = link_of(lake)
    if not link.is_symlink() or not (names := foreign_files(link)):
        return []
    build = Path(os.path.realpath(link))
    target = lake.silver / "foreign" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.rename(build / name, target / name)
        remove_empty_folders((build / name).parent, build)
    return [str((target / name).relative_to(lake.root)) for name in names]


def adopt_path(lake: Lake) -> str | None:
    """Build our table and give it the path of another tool's folder, in one step.

    Returns where the folder is now, with all its files; None where there is no such folder.

    Raises:
        LakeError: the name beside it is taken, or two names cannot be swapped here.
    """
    link, aside = link_of(lake), lake.silver / ASIDE
    if link.is_symlink() or not link.exists():
        return None
    if os.path.lexists(aside):
        raise LakeError(f"{aside} is there already; move it away, then run again")
    build = builds.build(lake, link=False).path
    with lock_link(lake):
        # Made under the other name, then swapped: readers find a table at every moment.
        aside.symlink_to(os.path.relpath(os.path.realpath(build), os.path.realpath(lake.silver)))
        try:
            probe.exchange(aside, link)
        except probe.NoExchangeError as error:
            aside.unlink()
            raise LakeError(
                f"two names cannot be swapped in {lake.silver} ({error}); move {link} away by "
                "hand while nobody reads it, then run `polygon-fundamentals silver`"
            ) from error
        flush_folder(lake.silver)
    return str(aside)


def give_back_path(lake: Lake) -> str:
    """Put another tool's folder back to its path, in one step; return the path. Our builds stay.

    Raises:
        AnswerIsNo: none was moved aside.
        LakeError: two names cannot be swapped here.
    """
    link, aside = link_of(lake), lake.silver / ASIDE
    if not aside.is_dir() or aside.is_symlink() or not link.is_symlink():
        raise AnswerIsNo(f"no folder of another tool was moved aside to {aside}; nothing to do")
    with lock_link(lake):
        probe.exchange(aside, link)
        aside.unlink()
        flush_folder(lake.silver)
    return str(link)
