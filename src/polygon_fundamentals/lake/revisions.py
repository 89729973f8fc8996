"""Revisions: every superseded or withdrawn row, kept for good.

There is one file per ticker and dataset. It has the rows as they were, with `event` (`superseded`
or `withdrawn`), `known_from` (the row's own filing date, or its day: when it could be known) and
`superseded_at` (when its successor was observed). A row's `observed_at` says when it was first
seen.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import content_hashes, file_days, record_keys
from polygon_fundamentals.datasets.schemas import DAY, MARK_KEY, MOMENT, TEXT, mark, schema
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.codec import renamed
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.storage.checked import encoded, refuse_other_units
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.normalise.earlier import with_new_fields
from polygon_fundamentals.statements import Generation

SUPERSEDED = "superseded"
WITHDRAWN = "withdrawn"
_HOUR = 3_600_000_000  # microseconds, as in `observed_at`
# When a day begins in New York, in UTC.
_DAY_BEGINS = (4 * _HOUR, 5 * _HOUR)


def revisions_schema(dataset: Dataset) -> pa.Schema:
    """Return the dataset's schema with the three columns that revisions add."""
    rows = schema(dataset.generation, dataset.statement)
    return pa.schema([*rows, ("event", TEXT), ("known_from", DAY), ("superseded_at", MOMENT)])


def as_revisions(table: pa.Table, events: list[str], superseded_at: datetime) -> pa.Table:
    """Return rows of a dataset as revisions."""
    return (
        table.append_column("event", pa.array(events, TEXT))
        .append_column("known_from", file_days(table))
        .append_column("superseded_at", pa.array([superseded_at] * len(events), MOMENT))
    )


def read(dataset: Dataset, ticker: str) -> pa.Table:
    """Return the revisions of a ticker, oldest first; empty where there are none.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    path = dataset.revisions_file(ticker)
    wanted = revisions_schema(dataset)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(use_threads=False)
        refuse_other_units(table.schema, wanted)
        if name := renamed(table.schema, wanted):
            raise ValueError(f"{dataset.name} has no column {name}")
        if len(table.schema) < len(wanted) and dataset.generation is Generation.V2:
            return with_new_fields(table, wanted)
        return table.cast(wanted)
    except FileNotFoundError:
        return wanted.empty_table()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DamagedFileError(
            f"{path} cannot be read ({str(error).splitlines()[0][:120]}); restore it from a copy, "
            "or move it away: the history of its superseded rows is in it"
        ) from error


def append(dataset: Dataset, ticker: str, revisions: pa.Table) -> int:
    """Add revisions of a ticker that are not there yet; return the bytes written.

    A revision is the same when key, `digests` and moment of observation are: a commit that
    is repeated after a kill leaves no second trace.
    """
    stored = read(dataset, ticker)
    known = set(_identities(dataset, stored))
    fresh = [
        i for i, identity in enumerate(_identities(dataset, revisions)) if identity not in known
    ]
    if not fresh:
        return 0
    table = pa.concat_tables([stored, revisions.take(fresh).cast(stored.schema)])
    return write(dataset, ticker, table)


def write(dataset: Dataset, ticker: str, revisions: pa.Table) -> int:
    """Write the revisions of a ticker in place of its present ones; return the bytes written."""
    text = mark(dataset.generation, dataset.statement) + ".revisions"
    data = encoded(revisions.replace_schema_metadata({MARK_KEY: text}), store_schema=False)
    replace_file(dataset.revisions_file(ticker), data)
    return len(data)


def contents(dataset: Dataset, ticker: str, until: datetime) -> set[tuple[str, str]]:
    """Return (record key, digest) of the revisions that were observed up to a moment."""
    return {(key, digest) for key, digest, _ in _identities(dataset, _seen(dataset, ticker, until))}


def seen_last(dataset: Dataset, ticker: str, moment: datetime) -> dict[str, str]:
    """Return record key → digest of the revision that was observed last up to a moment.

    Left out are records that were withdrawn by then.
    """
    table = _seen(dataset, ticker, moment).sort_by("observed_at")
    gone = pc.and_(
        pc.equal(table["event"], WITHDRAWN),
        pc.less_equal(table["superseded_at"], pa.scalar(moment, MOMENT)),
    ).to_pylist()
    identities = _identities(dataset, table)
    last = {key: (digest, gone[i]) for i, (key, digest, _) in enumerate(identities)}
    return {key: digest for key, (digest, is_gone) in last.items() if not is_gone}


def withdrawn_since(dataset: Dataset, ticker: str, moment: datetime) -> set[str]:
    """Return the record keys of a ticker that were seen to be withdrawn after a moment."""
    table = read(dataset, ticker)
    later = pc.greater(table["superseded_at"], pa.scalar(moment, MOMENT))
    gone = table.filter(pc.and_(pc.equal(table["event"], WITHDRAWN), later))
    return {key for key, _, _ in _identities(dataset, gone)}


def _seen(dataset: Dataset, ticker: str, until: datetime) -> pa.Table:
    table = read(dataset, ticker)
    return table.filter(pc.less_equal(table["observed_at"], pa.scalar(until, MOMENT)))


def digests(dataset: Dataset, rows: pa.Table) -> list[str]:
    """Return the content hash of each row, in which what v1 left out and what is null are one.

    Files in another tool's form cannot tell the two apart: the same row, once from an answer and
    once from a file, is one revision.
    """
    if dataset.generation is Generation.V1:
        place = rows.schema.get_field_index("absent_fields")
        field = rows.schema.field(place)
        rows = rows.set_column(place, field, pa.nulls(rows.num_rows, field.type))
    return content_hashes(rows) if rows.num_rows else []


def _identities(dataset: Dataset, table: pa.Table) -> list[tuple[str, str, int]]:
    """Return (record key, digest, moment of observation) of each revision.

    Earlier versions imported a recording of a day as observed at midnight in UTC, this one at the
    beginning of that day in New York. Both are one moment, so that importing again adds nothing.
    """
    if table.num_rows == 0:
        return []
    rows = table.select(schema(dataset.generation, dataset.statement).names)
    return list(
        zip(
            record_keys(rows, dataset.generation),
            digests(dataset, rows),
            [
                moment - moment % (24 * _HOUR) if moment % (24 * _HOUR) in _DAY_BEGINS else moment
                for moment in rows["observed_at"].cast(pa.int64()).to_pylist()
            ],
            strict=True,
        )
    )
