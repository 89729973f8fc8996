"""Files of the index that are not in the lake any more: what a load makes of them."""

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
    dataset: Dataset, ticker: str, known: TickerIndex, answered: Set[str]
) -> None:
    """Drop the missing files of a ticker from its index, if no row is lost with them.

    A row is not lost if the answer has its record key (`answered`), or if the revisions have the
    row itself, as after a power cut that the index alone did not survive. The files of an archived
    v1 are not missed at all.

    Raises:
        DamagedFileError: a row is lost; the text names a missing file and the remedy.
    """
    if dataset.generation is Generation.V1 and archived_since(dataset.lake) is not None:
        known.forget_gone()  # a cleanup took them away, and keeps their records
        return
    lost = {
        (key, digest)
        for key, (partition, digest) in known.rows.items()
        if partition in known.gone and key not in answered
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
