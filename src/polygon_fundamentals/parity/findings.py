"""What a comparison leaves: one Parquet file per table, written and read some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.storage.local import link_or_copy, replacing
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.tally import fields_of
from polygon_fundamentals.parity.tolerances import Accepted
from polygon_fundamentals.parity.totals import PRESENT, Totals
from polygon_fundamentals.statements import Statement

NAMES = (
    "values", "tallies", "tickers", "seen", "missing_periods", "extra_periods",
    "v1_records", "v2_records", "v2_files",
)  # fmt: skip
# Rows that are in memory at a time where a table is gone through: some 10 MB of values.
GROUP_ROWS = 50_000
_COUNTS = {"count", "line", "periods"}  # pandas makes floats of them where there is no row


@dataclass(frozen=True)
class StatementFindings:
    """The findings of one statement: `folder` has one file for each of `NAMES`.

    Every row has its `ticker`. `values`, `tallies`, `tickers`, `seen`, `missing_periods` and
    `extra_periods` as in `StatementParity`; `v1_records` and `v2_records` as in
    `records.record_rows`; `v2_files` as in `records.file_faults`.

    Its methods raise DamagedFileError for a file that cannot be read.
    """

    statement: Statement
    folder: Path

    def table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table, or some of its columns."""
        with self._opened(name) as file:
            return file.read(columns=columns)

    def batches(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield a table, or some of its columns, some rows at a time.

        At least once, if only to show the columns.
        """
        with self._opened(name) as file:
            if file.num_row_groups == 0:
                empty = file.schema_arrow.empty_table()
                yield empty if columns is None else empty.select(columns)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns)

    def frame(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a table, or some of its columns, as a data frame."""
        return self.table(name, columns).to_pandas()

    @contextmanager
    def _opened(self, name: str) -> Iterator[pq.ParquetFile]:
        path = self.folder / f"{name}.parquet"
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield file
        except (OSError, pa.ArrowException) as error:
            raise DamagedFileError(
                f"{path} cannot be read ({str(error).splitlines()[0][:120]}); run parity again: "
                "it builds the damaged part of its cache again"
            ) from error

    def prove(self) -> None:
        """Read every table through, some rows at a time, checksums and all."""
        for name in NAMES:
            for _ in self.batches(name):
                pass

    def linked(self, folder: Path) -> StatementFindings:
        """Link the tables into another folder, replacing those there; return the findings there."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            target = folder / f"{name}.parquet"
            target.unlink(missing_ok=True)
            link_or_copy(self.folder / target.name, target)
        return StatementFindings(self.statement, folder)

    def totals(self, accepted: Sequence[Accepted]) -> Totals:
        """Return the totals; Arrow counts, so that no frame of all rows is made for it."""
        counted = self.table("tallies").group_by(["line", "kind"]).aggregate([("count", "sum")])
        by_field = fields_of(
            counted.rename_columns({"count_sum": "count"}).to_pandas(), self.statement
        )
        tickers = self.frame("tickers")
        states = self.table("seen", ["state"])["state"]
        filed = pc.max(self.table("v1_records", ["filing_date"])["filing_date"]).as_py()
        mine = [a for a in accepted if a.statement is self.statement]
        used = [
            values.filter(pc.equal(values["kind"], Kind.ACCEPTED.value))
            for values in self.batches("values")
        ]
        unused = _unused(mine, pa.concat_tables(used).to_pandas())
        return Totals(
            statement=self.statement,
            periods=pc.sum(pc.equal(states, PRESENT), min_count=0).as_py(),
            compared=int(by_field["compared"].sum()),
            matched=int(by_field[Kind.MATCHED.value].sum()),
            counts={k: int(by_field[k.value].sum()) for k in (*DIFFERENCE_KINDS, *APART_KINDS)},
            by_field=by_field,
            tickers=tickers,
            absent_tickers=tickers[tickers["kind"] != PRESENT].reset_index(drop=True),
            missing_periods=self.frame("missing_periods"),
            extra_periods=self.frame("extra_periods"),
            v1_last_filing=None if filed is None else filed.date(),
            unused_acceptances=unused,
        )


def _unused(accepted: Sequence[Accepted], used: pd.DataFrame) -> tuple[Accepted, ...]:
    """The acceptances that apply to none of the accepted values."""
    return tuple(
        one
        for one in accepted
        if not (
            (used["cik"] == one.cik)
            & (used["timeframe"] == one.timeframe.value)
            & (used["period_end"] == pd.Timestamp(one.period_end))
            & (used["v2_field"] == one.v2_field)
        ).any()
    )


def tables_of(frames: Mapping[str, pd.DataFrame]) -> dict[str, pa.Table]:
    """Return the tables of `NAMES` from data frames; raises KeyError if one is missing."""
    return {name: _table(frames[name]) for name in NAMES}


def _table(frame: pd.DataFrame) -> pa.Table:
    """The frame as an Arrow table, of the same types with rows and without, as Parquet has them.

    A column of nothing but None becomes one of strings; Parquet has no timestamps in seconds.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for position, field in enumerate(table.schema):
        wanted = field.type
        if field.name in _COUNTS:
            wanted = pa.int64()
        elif pa.types.is_null(wanted) or pa.types.is_large_string(wanted):
            wanted = pa.string()
        elif pa.types.is_timestamp(wanted):
            wanted = pa.timestamp("ms")
        if wanted != field.type:
            table = table.set_column(position, field.name, table[field.name].cast(wanted))
    return table


class Writer:
    """Writes the tables of a `StatementFindings` incrementally, some rows in memory at a time."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self._folder = folder
        self._ends = ends
        self._files: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {name: [] for name in NAMES}

    def add(self, name: str, table: pa.Table) -> None:
        """Add rows to one of `NAMES`; the first call sets the columns."""
        waiting = self._waiting[name]
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= GROUP_ROWS:
            self._write(name)

    def add_tickers(self, findings: StatementFindings, tickers: Iterable[str]) -> None:
        """Add the findings of some tickers. Raises DamagedFileError as `findings` does."""
        wanted = pa.array(sorted(set(tickers)), pa.string())
        for name in NAMES:
            for table in findings.batches(name):
                self.add(name, table.filter(pc.is_in(table["ticker"], wanted)))

    def end(self) -> None:
        """Write the rows that are still in memory."""
        for name in NAMES:
            self._write(name)

    def _write(self, name: str) -> None:
        if not self._waiting[name]:
            return
        rows = pa.concat_tables(self._waiting[name]).combine_chunks()
        self._waiting[name] = []
        if name not in self._files:
            beside = self._ends.enter_context(replacing(self._folder / f"{name}.parquet"))
            file = pq.ParquetWriter(
                beside, rows.schema, compression="zstd", write_page_checksum=True
            )
            self._files[name] = self._ends.enter_context(file)
        self._files[name].write_table(rows)


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Yield a writer of tables; at the end they replace those of the same names in `folder`.

    New findings need a table for every name in `NAMES`, even if it has no rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ends:
        writer = Writer(folder, ends)
        yield writer
        writer.end()
