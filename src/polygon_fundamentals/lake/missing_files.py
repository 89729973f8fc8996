"""Files that vanished: a load never forgets their rows without having them again."""

from __future__ import annotations

from collections.abc import Set

from polygon_fundamentals.datasets.keys import content_hashes, record_keys
from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import revisions
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.index import TickerIndex
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.statements import Generation


def forget_missing_files(
    dataset: Dataset, ticker: str, known: TickerIndex, arriving: Set[str]
) -> None:
    """Drop a ticker's missing files from its index where each of their rows is elsewhere.

    That is in the answer (`arriving` are its record keys), or in the revisions, as after a loss of
    power that reached the index alone.

    Raises:
        DamagedFileError: a row is nowhere else; the next load would forget that it was there.
    """
    if not known.gone:
        return
    if dataset.generation is Generation.V1 and archived_since(dataset.lake) is not None:
        known.forget_gone()  # a cleanup took them away, and keeps their records
        return
    lost = {
        (key, digest)
        for key, (partition, digest) in known.rows.items()
        if partition in known.gone and key not in arriving
    }
    if lost:
        columns = schema(dataset.generation, dataset.statement).names
        past = revisions.read(dataset, ticker).select(columns)
        lost -= set(zip(record_keys(past, dataset.generation), content_hashes(past), strict=True))
    if lost:
        path = dataset.file(min(known.gone), ticker)
        more = f" and {len(known.gone) - 1} more are" if len(known.gone) > 1 else " is"
        raise DamagedFileError(
            f"{path}{more} not there, and neither the answer nor the revisions have all of the "
            "rows: put back what is missing from a backup, or load the history of the ticker "
            f"again; if the API no longer serves all of it, remove {dataset.index_file(ticker)} "
            "first"
        )
    known.forget_gone()
