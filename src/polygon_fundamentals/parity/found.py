"""The frames that a comparison leaves, as Arrow tables: kept between runs, and joined anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.lake.files import replace_file
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.result import (
    COMPANY_ABSENT,
    NEVER_IN_V2,
    PRESENT,
    Totals,
)
from polygon_fundamentals.parity.tally import fields_of
from polygon_fundamentals.parity.tolerances import Accepted
from polygon_fundamentals.statements import Statement

NAMES = (
    "values", "tallies", "tickers", "seen", "missing_periods", "extra_periods",
    "v1_records", "v2_records", "v2_files",
)  # fmt: skip
_COUNTS = {"count", "line", "periods"}  # pandas makes floats of them where there is no row
_V1_STATES = (PRESENT, COMPANY_ABSENT, Kind.MISSING.value)


@dataclass(frozen=True)
class Found:
    """What was found in one statement: a table for each of `NAMES`, every row with its `ticker`.

    `values`, `tallies`, `tickers`, `seen`, `missing_periods` and `extra_periods` as in
    `StatementParity`; `v1_records` and `v2_records` as in `records.record_rows`; `v2_files` as
    in `records.file_faults`.
    """

    statement: Statement
    tables: dict[str, pa.Table]

    def frame(self, name: str) -> pd.DataFrame:
        """One of the tables as a data frame."""
        frame: pd.DataFrame = self.tables[name].to_pandas()
        return frame

    def of_tickers(self, tickers: Iterable[str]) -> Found:
        """Only the rows of some tickers."""
        wanted = pa.array(sorted(set(tickers)), pa.string())
        return Found(
            self.statement,
            {n: t.filter(pc.is_in(t["ticker"], wanted)) for n, t in self.tables.items()},
        )

    def totals(self, accepted: Sequence[Accepted]) -> Totals:
        """What it comes to; Arrow counts, so that no frame of all rows is made for it."""
        counted = self.tables["tallies"].group_by(["line", "kind"]).aggregate([("count", "sum")])
        by_field = fields_of(
            counted.rename_columns({"count_sum": "count"}).to_pandas(), self.statement
        )
        tickers = self.frame("tickers")
        seen, values = self.tables["seen"], self.tables["values"]
        states = seen["state"]
        of_v1 = seen.filter(pc.is_in(states, pa.array(_V1_STATES)))
        filed = self.tables["v1_records"]["filing_date"].to_pandas().dropna()
        mine = [a for a in accepted if a.statement is self.statement]
        used = values.filter(pc.equal(values["kind"], Kind.ACCEPTED.value)).to_pandas()
        return Totals(
            statement=self.statement,
            companies=pc.count_distinct(of_v1["ticker"]).as_py(),
            periods=_count(states, PRESENT),
            compared=int(by_field["compared"].sum()),
            matched=int(by_field[Kind.MATCHED.value].sum()),
            counts={k: int(by_field[k.value].sum()) for k in (*DIFFERENCE_KINDS, *APART_KINDS)},
            by_field=by_field,
            tickers=tickers,
            absent_tickers=tickers[tickers["kind"] != PRESENT].reset_index(drop=True),
            missing_periods=self.frame("missing_periods"),
            extra_periods=self.frame("extra_periods"),
            v1_periods_v2_never_has=_count(states, NEVER_IN_V2),
            v1_last_filing=None if filed.empty else _day(filed.max()),
            unused_acceptances=tuple(a for a in mine if not _is_used(a, used)),
        )


def _day(moment: pd.Timestamp) -> date:
    return moment.date()


def _count(states: pa.ChunkedArray, state: str) -> int:
    found: int = pc.sum(pc.equal(states, state), min_count=0).as_py()
    return found


def _is_used(one: Accepted, used: pd.DataFrame) -> bool:
    return bool(
        (
            (used["cik"] == one.cik)
            & (used["timeframe"] == one.timeframe.value)
            & (used["period_end"] == pd.Timestamp(one.period_end))
            & (used["v2_field"] == one.v2_field)
        ).any()
    )


def from_frames(statement: Statement, frames: dict[str, pd.DataFrame]) -> Found:
    """What was found, from data frames; raises KeyError if one is missing."""
    return Found(statement, {name: _table(frames[name]) for name in NAMES})


def _table(frame: pd.DataFrame) -> pa.Table:
    """The frame as Arrow sees it, of the same types with rows and without, kept or not.

    A column of nothing but None is one of texts; Parquet knows no seconds.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for position, field in enumerate(table.schema):
        wanted = field.type
        if pa.types.is_null(wanted) or pa.types.is_large_string(wanted):
            wanted = pa.string()
        elif pa.types.is_timestamp(wanted):
            wanted = pa.timestamp("ms")
        elif field.name in _COUNTS:
            wanted = pa.int64()
        if wanted != field.type:
            table = table.set_column(position, field.name, table[field.name].cast(wanted))
    return table


def join(parts: Sequence[Found]) -> Found:
    """What was found in several parts of one statement; raises IndexError if there are none."""
    return Found(
        parts[0].statement,
        {
            name: pa.concat_tables(
                [part.tables[name] for part in parts], promote_options="permissive"
            )
            for name in NAMES
        },
    )


def save(found: Found, folder: Path) -> None:
    """Write each table as a Parquet file of its own."""
    for name, table in found.tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        replace_file(folder / f"{name}.parquet", bytes(sink.getvalue()))


def load(statement: Statement, folder: Path) -> Found:
    """Read what `save` wrote. Raises OSError or pyarrow.ArrowException where it is not whole."""
    tables = {n: pq.read_table(folder / f"{n}.parquet", partitioning=None) for n in NAMES}
    return Found(statement, tables)
