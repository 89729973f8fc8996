"""The v1-shaped view: records of v2 in v1's nested form, for readers that cannot change yet.

Every line is `{value, unit, label, order}` as v1 sent it, in v1's sign and under v1's name. Lines
that v2 cannot give are left out, and so are those that v2 defines differently unless they are
asked for; `loss` lists both. `filing_date` has v1's meaning, the first filing of the period,
wherever the lake knows it. Statements of a period that only v1 has are given as v1 gave them; with
`continue_v1` all that v1 has, so that v2's records only go on where its history ends. Every
record says in `generation` where it came from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.nested import any_valid, financials
from polygon_fundamentals.datasets.schemas import TEXT, V1_RECORD, schema
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.field_map import FieldEntry, Relation, entries
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.file_names import partition_folder, ticker_file_name
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.normalise.exact import JsonObject
from polygon_fundamentals.silver import wide_table
from polygon_fundamentals.silver.schema import PREFIXES
from polygon_fundamentals.silver.table import Source, known_on
from polygon_fundamentals.silver.wide import BOTH
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import v1_records

# Tickers of some whole companies whose rows are in memory together.
BATCH_TICKERS = 100
DATES, TEXT_DATES = "date", "text"
# What names a record: its period and day of filing, then its label and moment of filing.
_PERIOD_AND_DAY = ("ticker", "end_date", "timeframe", "cik", "filing_date")
_LABEL_AND_MOMENT = ("fiscal_year", "fiscal_period", "acceptance_datetime")
_SAME = frozenset((Relation.EXACT, Relation.SIGN_FLIPPED))


@dataclass(frozen=True)
class Lost:
    """A line of v1 that the view leaves out, and why."""

    statement: str
    field: str
    reason: str


def is_given(entry: FieldEntry, *, differing: bool) -> bool:
    """Return whether the view has a v1 line: the first source of a field that means the same.

    With `differing` also those that v2 defines differently.
    """
    if entry.v1 is None or entry.v2 is None or entry.source_rank != 1:
        return False
    return entry.relation in _SAME or (differing and entry.relation is Relation.DEFINITION_DIFFERS)


def loss(statements: Collection[Statement], *, differing: bool = False) -> list[Lost]:
    """Return the v1 lines that the view leaves out, in v1's order."""
    lost = []
    for statement in statements:
        for entry in entries(statement):
            if entry.v1_column is None or is_given(entry, differing=differing):
                continue
            if entry.v2 is None:
                reason = "v2 has no such field"
            elif entry.relation is Relation.DEFINITION_DIFFERS and entry.source_rank == 1:
                reason = f"v2 defines it differently: {entry.note}"
            else:
                reason = f"v2 has one field, {entry.v2}, for this and another line"
            lost.append(Lost(statement.value, entry.v1_column, reason))
    return lost


def v1_shaped(wide: pa.Table, statement: Statement, *, differing: bool = False) -> pa.Table:
    """Return rows of the wide table as v1's records of one statement, in v1's bronze schema.

    Rows without any line of the statement are left out. A last column, `generation`, says
    where each came from.
    """
    lines = [e for e in entries(statement) if is_given(e, differing=differing)]
    values = {str(entry.v1_column): _value(wide, entry) for entry in lines}
    filled = any_valid(values.values(), wide.num_rows)
    wanted = schema(Generation.V1, statement)
    columns = _record(wide)
    columns["financials"] = financials(values, statement, wide.num_rows)
    columns["absent_fields"] = pa.nulls(wide.num_rows, pa.list_(TEXT))
    columns["unmapped"] = pa.nulls(wide.num_rows, TEXT)
    columns["observed_at"] = wide["loaded_at"]
    table = pa.table([columns[name] for name in wanted.names], schema=wanted)
    return v1_records.marked(table, wide["generation"]).filter(pa.array(filled))


def _value(wide: pa.Table, entry: FieldEntry) -> pa.Array:
    """Return the values of one line of v1, null where v2 has none."""
    value = wide[PREFIXES[entry.statement] + (entry.v2 or "")].combine_chunks()
    if entry.relation is Relation.SIGN_FLIPPED:
        # Adding zero turns the -0.0 of a flipped zero into 0.0.
        value = pc.add(pc.negate(value), 0.0)
    return value


def _record(wide: pa.Table) -> dict[str, pa.Array]:
    """Return v1's record fields that v2 can give; the others are null."""
    columns = {name: pa.nulls(wide.num_rows, kind) for name, kind in V1_RECORD.items()}
    ticker = wide["ticker"].combine_chunks()
    offsets = pa.array(np.arange(wide.num_rows + 1, dtype=np.int32))
    columns |= {
        "ticker": ticker,
        "cik": wide["cik"].combine_chunks(),
        "tickers": pa.ListArray.from_arrays(offsets, ticker),
        "end_date": wide["period_end"].combine_chunks(),
        "filing_date": pc.coalesce(wide["first_filing_date"], wide["filing_date"]),
        "fiscal_year": wide["fiscal_year"].cast(TEXT),
        "fiscal_period": wide["fiscal_period"].combine_chunks(),
        "timeframe": wide["timeframe"].combine_chunks(),
    }
    return columns


def records(
    lake: Lake,
    tickers: Sequence[str],
    statements: Sequence[Statement],
    *,
    differing: bool = False,
    continue_v1: bool = False,
) -> list[JsonObject]:
    """Return v1-shaped records of some tickers as v1's answers hold them, oldest period first.

    There is one record per ticker, period and filing, with all of its statements; absent lines have
    no key. v1 may have a period under two labels or from two filings, whose values must not be
    mixed under one filing date. What v2 adds to a record of v1 has the same filing date, unless v1
    has none.
    `continue_v1`: see `export_folder`.

    Raises:
        DamagedFileError: a file of the lake cannot be read.
        LakeError: there is no history of v1 to continue.
    """
    if continue_v1:
        v1_records.refuse_archived(lake)
    wide = wide_table(lake, Generation.V2, tickers=frozenset(tickers))
    view = _View(lake, wide, differing, continue_v1, frozenset(tickers))
    tables = [table for statement in statements for table in view.tables(statement)]
    rows = [row for table in tables for row in table.to_pylist()]
    # v1's first: of v2's it is then known which record of v1 they add to.
    rows.sort(key=lambda row: str(row["generation"]))
    by_filing: dict[tuple[str, ...], JsonObject] = {}
    of_day: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in rows:
        day = tuple(str(row[name] or "") for name in _PERIOD_AND_DAY)
        key = (*day, *(str(row[name] or "") for name in _LABEL_AND_MOMENT))
        if row["generation"] != Generation.V1:
            key = of_day.get(day) or of_day.get((*day[:-1], "")) or key
        of_day.setdefault(day, key)
        financials = _present(row.pop("financials"))
        if key in by_filing:
            by_filing[key]["financials"].update(financials)
            if by_filing[key]["generation"] != row["generation"]:
                by_filing[key]["generation"] = BOTH
        else:
            by_filing[key] = _as_sent(row) | {"financials": financials}
    return [by_filing[key] for key in sorted(by_filing)]


def _as_sent(row: Mapping[str, Any]) -> JsonObject:
    members = {n: row[n] for n in (*V1_RECORD, "generation") if row[n] is not None}
    return {n: v.isoformat() if hasattr(v, "isoformat") else v for n, v in members.items()}


def _present(value: Any) -> Any:
    """Return nested structs without the members that are null."""
    if not isinstance(value, dict):
        return value
    members = {name: _present(member) for name, member in value.items() if member is not None}
    return {name: member for name, member in members.items() if member != {}}


@dataclass(frozen=True)
class _View:
    """What the view is made from; no `tickers`: the whole lake."""

    lake: Lake
    wide: pa.Table
    differing: bool
    continue_v1: bool
    tickers: frozenset[str] | None = None

    def tables(self, statement: Statement) -> Iterator[pa.Table]:
        """Yield v1-shaped rows: v2's rendered, then v1's own where v2 lacks the statement.

        Continuing v1, all that v1 has, then v2's of the periods that it lacks.
        """
        if self.continue_v1:
            of_v1 = pc.equal(self.wide["generation"], Generation.V1.value)
            rendered = self._rendered(statement, pc.invert(of_v1))
            history = v1_records.stored(self.lake, statement, self.tickers)
            yield v1_records.marked(history, Generation.V1.value)
            later = v1_records.continuing(rendered, history).drop_columns(["generation"])
            yield v1_records.marked(later, Generation.V2.value)
            return
        own, others = v1_records.own_records(self.lake, statement, self.wide)
        yield self._rendered(statement, others)
        yield v1_records.marked(own, Generation.V1.value)

    def _rendered(self, statement: Statement, rows: pa.Array) -> pa.Table:
        return v1_shaped(self.wide.filter(rows), statement, differing=self.differing)


def export_folder(
    lake: Lake,
    folder: Path,
    statements: Sequence[Statement],
    *,
    differing: bool = False,
    continue_v1: bool = False,
    dates: str = DATES,
) -> dict[str, int]:
    """Write the whole lake in v1's form and layout into a new folder; return rows by statement.

    `folder` takes the place of `bronze/fundamentals`: `{statement}/year=YYYY/month=MM/
    ticker=SYMBOL.parquet`. It appears whole or not at all; in an empty folder that is there
    already, which may be mounted and cannot be replaced, one statement appears after the other.
    With `continue_v1` every record that v1 has is given as v1 gave it, and v2's only for the
    periods that v1 lacks. `dates` are written as such, or as the text that v1 sends
    (`TEXT_DATES`).

    Raises:
        UsageError: the folder is there already.
        DamagedFileError: a file of the lake cannot be read.
        LakeError: there is no history of v1 to continue.
    """
    if continue_v1:
        v1_records.refuse_archived(lake)
    folder = folder.resolve()
    is_there = folder.exists()
    if is_there and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already; give --output a new or empty folder")
    beside = folder if is_there else folder.parent
    partial = beside / f".{folder.name}.{os.getpid()}.partial"
    partial.mkdir(parents=True)
    try:
        counts = dict.fromkeys((statement.value for statement in statements), 0)
        for name in counts:
            (partial / name).mkdir()
        source = Source.of(lake, Generation.V2)
        for tickers in source.batches(BATCH_TICKERS):
            wide = known_on(source.part(tickers).rows, None)
            view = _View(lake, wide, differing, continue_v1, tickers)
            for statement in statements:
                whole = pa.concat_tables(view.tables(statement))
                counts[statement.value] += whole.num_rows
                _write(lake, whole, partial, statement, as_text=dates == TEXT_DATES)
        local.flush_to_disk(partial)
        if is_there:
            for made in sorted(partial.iterdir()):
                os.rename(made, folder / made.name)
        else:
            os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return counts


def _write(
    lake: Lake, table: pa.Table, folder: Path, statement: Statement, *, as_text: bool
) -> None:
    """Write rows into a file for each ticker and month of filing."""
    dataset = lake.dataset(Generation.V1, statement)
    if not table.num_rows:
        return
    months = np.array(codec.filing_partitions(table))
    tickers = table["ticker"].combine_chunks().dictionary_encode()
    codes = tickers.indices.to_numpy()
    order = np.lexsort((codes, months))
    table = table.take(pa.array(order)).combine_chunks()
    if as_text:
        for position, field in enumerate(table.schema):
            if pa.types.is_date(field.type):
                table = table.set_column(position, field.name, table[field.name].cast(TEXT))
    months, codes = months[order], codes[order]
    starts = np.flatnonzero((np.diff(months, prepend=-1) != 0) | (np.diff(codes, prepend=-1) != 0))
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        place = folder / statement.value / partition_folder(int(months[start]))
        place.mkdir(parents=True, exist_ok=True)
        name = ticker_file_name(tickers.dictionary[int(codes[start])].as_py())
        rows = table.slice(int(start), int(end - start))
        # The mark of our files promises their types.
        local.write_bytes(place / name, codec.encode(rows, dataset, ".text" if as_text else ""))
