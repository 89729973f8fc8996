"""What must be there before a command uses a lake: where readers are led to, and every folder."""

from __future__ import annotations

from collections.abc import Sequence

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.index import indexed_tickers, written
from polygon_fundamentals.lake.lost_folders import how_to_load_anew
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.statements import Generation, Statement


def check_layout(lake: Lake) -> None:
    """Refuse a lake that is not as our commands left it, before anything is written to it.

    A load into the folder that stands in for a missing one would be all that readers see. A pointer
    that is not there at all is allowed: v1's folder is then known by its archive name.

    Raises:
        LakeError: the pointer leads nowhere, or is a copy of the folder that it led to; or a
            dataset's folder is missing although its files are in the index.
    """
    if lake.pointer.exists() or lake.pointer.is_symlink():
        leads_to(lake)
        lake.refuse_lost_pointer()
    if words := _missing(lake, [*_datasets(lake, *Generation), lake.ratios]):
        raise LakeError(words)


def missing(lake: Lake, *generations: Generation) -> str:
    """Return which folders of some generations are missing, and the remedy; empty: none is."""
    return _missing(lake, _datasets(lake, *generations))


def _datasets(lake: Lake, *generations: Generation) -> list[Dataset]:
    return [lake.dataset(g, s) for g in generations for s in Statement]


def _missing(lake: Lake, datasets: Sequence[Dataset]) -> str:
    gone = [d for d in datasets if not d.folder.is_dir() and _is_indexed(d)]
    if any(d.generation is Generation.V1 for d in gone) and archived_since(lake) is not None:
        # Of an archived v1 the index stays, for the restore.
        gone = [d for d in gone if d.generation is not Generation.V1]
    if not gone:
        return ""
    folders = ", ".join(str(dataset.folder) for dataset in gone)
    are, them = ("is", "it") if len(gone) == 1 else ("are", "them")
    return (
        f"{folders} {are} not there, although the index in {lake.ops / 'index'} lists files in "
        f"{them}: mount {them}, or put {them} back from a backup. {how_to_load_anew(gone)}"
    )


def _is_indexed(dataset: Dataset) -> bool:
    """Return whether the index has a file of any ticker; in most lakes the first one read has."""
    return any(written(dataset, ticker).files for ticker in indexed_tickers(dataset))
