"""What must be there before a command uses a lake: where readers are led to, and every folder."""

from __future__ import annotations

from collections.abc import Sequence

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.index import indexed_tickers, written
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
    words = missing(lake, *Generation) or _missing(lake, [lake.ratios])
    if words:
        raise LakeError(words)


def missing(lake: Lake, *generations: Generation) -> str:
    """Return which folder of some generations is missing, and the remedy; empty: none is."""
    return _missing(lake, [lake.dataset(g, s) for g in generations for s in Statement])


def _missing(lake: Lake, datasets: Sequence[Dataset]) -> str:
    for dataset in datasets:
        if dataset.folder.is_dir() or not _is_indexed(dataset):
            continue
        # Of an archived v1 the index stays, for the restore.
        if dataset.generation is Generation.V1 and archived_since(lake) is not None:
            continue
        index = dataset.index_folder
        return (
            f"{dataset.folder} is not there, although {index} lists files in it: mount it, or put "
            f"it back from a backup. To load it anew, remove the index first: `rm -r {index}`"
        )
    return ""


def _is_indexed(dataset: Dataset) -> bool:
    """Return whether the index has a file of any ticker; in most lakes the first one read has."""
    return any(written(dataset, ticker).files for ticker in indexed_tickers(dataset))
