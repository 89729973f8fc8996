"""The frames that the rules look at: one Parquet file each, of all statements together.

They hold facts about the lake and the day of the run. What is demanded of them stands in the
suites, which know no lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.first_filings import COLUMN as FIRST_FILING
from polygon_fundamentals.parity.kinds import APART_KINDS, Kind
from polygon_fundamentals.parity.labels import fiscal_labels
from polygon_fundamentals.parity.lost_fields import lost_fields
from polygon_fundamentals.parity.records import v2_identities
from polygon_fundamentals.parity.tally import fields_of
from polygon_fundamentals.parity.tolerances import Tolerances
from polygon_fundamentals.parity.totals import COMPANY_ABSENT, NEVER_IN_V2, PRESENT
from polygon_fundamentals.statements import Statement

# Days, for what has no date at all.
_AGES = 999_999
# In the order in which their suites run.
FRAMES = (
    "tickers", "periods", "labels", "values", "fields", "recency", "v1_records", "v2_records",
    "v2_files", "counts",
)  # fmt: skip
# Periods a year; a week-based year is up to a week shorter or longer than the calendar's.
_DAYS = {"quarterly": 91.3125, "annual": 365.25, "ttm": 91.3125}
_LABELS = (
    "ticker", "cik", "timeframe", "period_end", "record_key", "fiscal_year", "fiscal_period",
    "filing_date",
)  # fmt: skip
_VALUES = (
    "statement", "ticker", "cik", "timeframe", "period_end", "v1_field", "v2_field", "relation",
    "v1_value", "v2_value", "difference", "kind", "detail", "v1_filing_date", "v2_filing_date",
)  # fmt: skip
# What `row_hash` is made of. The rule on values, which must not import us, names the same columns.
_HASHED = (
    "statement", "ticker", "timeframe", "v1_field", "v2_field", "v1_value", "v2_value", "finding"
)  # fmt: skip
# Every row has its own: a dictionary of it would only be larger.
_UNIQUE_TEXTS = {"record_key", "file"}


def names_of(findings: StatementFindings) -> dict[str, str]:
    """Return each ticker's company name: the one in v1's latest record."""
    columns = ["ticker", "company_name", "filing_date", "period_end"]
    records = findings.frame("v1_records", columns).dropna(subset=["company_name"])
    latest = records.sort_values(["filing_date", "period_end"], na_position="first")
    named = latest.drop_duplicates("ticker", keep="last")
    return dict(zip(named["ticker"], named["company_name"], strict=True))


def write_frames(
    folder: Path, all_findings: Sequence[StatementFindings], tolerances: Tolerances, today: date
) -> dict[str, int]:
    """Write every frame to `folder`; return how many rows each has."""
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    for findings in all_findings:
        names |= names_of(findings)
    free = [
        kind.value
        for kind in APART_KINDS
        if tolerances.budgets[kind].at_most == "unlimited"
        and not any(scoped.finding is kind for scoped in tolerances.scoped_budgets)
    ]
    makers: dict[str, Callable[[StatementFindings], Iterable[pa.Table]]] = {
        "tickers": lambda findings: [_renamed(findings.table("tickers"), kind="state")],
        "periods": lambda findings: [_periods(findings)],
        "labels": lambda findings: [_table(fiscal_labels(findings.frame("seen")))],
        "values": lambda findings: _values(findings, free),
        "fields": lambda findings: [_table(lost_fields(findings))],
        "recency": lambda findings: [_table(recency(findings, today))],
        "v1_records": lambda findings: [findings.table("v1_records", list(_LABELS))],
        "v2_records": lambda findings: [_v2_records(findings, today)],
        "v2_files": lambda findings: [findings.table("v2_files")],
        "counts": lambda findings: [_table(counts(findings.frame("seen")))],
    }
    return {
        name: _write(folder / f"{name}.parquet", all_findings, makers[name], names)
        for name in FRAMES
    }


def _write(
    path: Path,
    all_findings: Sequence[StatementFindings],
    make: Callable[[StatementFindings], Iterable[pa.Table]],
    names: Mapping[str, str],
) -> int:
    parts = []
    for findings in all_findings:
        for table in make(findings):
            parts.append(_coded(_labelled(table, findings.statement, names)))
    whole = pa.concat_tables(parts, promote_options="default").unify_dictionaries()
    pq.write_table(whole, path, compression="zstd")
    return int(whole.num_rows)


def _labelled(table: pa.Table, statement: Statement, names: Mapping[str, str]) -> pa.Table:
    """The table with its statement and, where it has tickers, the companies' names."""
    if "statement" not in table.column_names:
        table = table.add_column(
            0, "statement", pa.repeat(pa.scalar(statement.value), table.num_rows)
        )
    if "ticker" in table.column_names:
        tickers = table["ticker"]
        if pa.types.is_null(tickers.type):  # a frame of no rows knows no type
            tickers = tickers.cast(pa.string())
        coded = pc.dictionary_encode(tickers).combine_chunks()
        if isinstance(coded, pa.ChunkedArray):  # of no rows
            coded = pa.array([], pa.dictionary(pa.int32(), pa.string()))
        known = pa.array([names.get(t) for t in coded.dictionary.to_pylist()], pa.string())
        table = table.append_column("company_name", known.take(coded.indices))
    return table


def _coded(table: pa.Table) -> pa.Table:
    """The table with its texts as dictionaries, which pandas reads as categories."""
    for position, field in enumerate(table.schema):
        column = table[field.name]
        if pa.types.is_null(field.type) or pa.types.is_large_string(field.type):
            column = column.cast(pa.string())
        if pa.types.is_string(column.type) and field.name not in _UNIQUE_TEXTS:
            column = column.dictionary_encode()
        table = table.set_column(position, field.name, column)
    return table


def _table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _renamed(table: pa.Table, **names: str) -> pa.Table:
    return table.rename_columns([names.get(name, name) for name in table.column_names])


def _periods(findings: StatementFindings) -> pa.Table:
    """Every period that v2 should have, and those that v2 has alone."""
    seen = findings.table("seen")
    apart = pa.array([COMPANY_ABSENT, NEVER_IN_V2])
    return seen.filter(pc.invert(pc.is_in(seen["state"], apart)))


def _values(findings: StatementFindings, free: Sequence[str]) -> Iterator[pa.Table]:
    """Each value that is not matched, and a tally of the others by field and finding.

    A finding of `free`, which is counted apart and may stand in any number, is a tally too.
    `row_hash` shows whether a row is still what was compared; 0 for tallies.
    """
    for table in findings.batches("values"):
        table = table.filter(pc.invert(pc.is_in(table["kind"], pa.array(free, pa.string()))))
        single = _renamed(table.select(list(_VALUES)), kind="finding")
        compared = _coded(single.select(list(_HASHED))).to_pandas()
        hashes = pd.util.hash_pandas_object(compared, index=False)
        single = single.append_column("row_hash", pa.array(hashes, pa.uint64()))
        yield single.append_column("count", pa.repeat(pa.scalar(1, pa.int64()), single.num_rows))
    by_field = fields_of(findings.frame("tallies"), findings.statement)
    by_field = by_field[by_field["v1_field"].notna() & by_field["v2_field"].notna()]
    tallied = [Kind.MATCHED.value, *(kind for kind in free if kind != Kind.NOT_COMPARABLE.value)]
    long = by_field.melt(
        id_vars=["statement", "v1_field", "v2_field", "relation"],
        value_vars=tallied,
        var_name="finding",
        value_name="count",
    )
    counted = long[long["count"] > 0].reset_index(drop=True)
    yield _table(counted.assign(row_hash=np.uint64(0)))


def accessions(all_findings: Sequence[StatementFindings]) -> pd.DataFrame:
    """Return the number of the SEC filing that v1 names for each ticker, timeframe, period_end."""
    names = ["ticker", "timeframe", "period_end", "accession"]
    tables = [findings.table("v1_records", [*names, "filing_date"]) for findings in all_findings]
    rows = pa.concat_tables([t.filter(pc.is_valid(t["accession"])) for t in tables])
    latest: pd.DataFrame = rows.sort_by("filing_date").select(names).to_pandas()
    return latest.drop_duplicates(names[:3], keep="last", ignore_index=True)


def recency(findings: StatementFindings, today: date) -> pd.DataFrame:
    """Return how old the newest records are: one row, with null days where v2 has no records.

    There is no row for a statement that neither generation has: not every team loads all three.
    v1's last filing is that of the tickers that v2 has too; another rule covers the others.
    """
    moment = _latest(findings.table("v2_records", ["observed_at"])["observed_at"])
    seen = None if moment is None else day_of(moment.replace(tzinfo=UTC))
    v2_filed = _latest(findings.table("v2_records", ["filing_date"])["filing_date"])
    tickers = findings.table("tickers", ["ticker", "kind"])
    there = tickers.filter(pc.equal(tickers["kind"], PRESENT))["ticker"].combine_chunks()
    records = findings.table("v1_records", ["ticker", "filing_date"])
    v1_filed = _latest(records.filter(pc.is_in(records["ticker"], there))["filing_date"])
    age = None if seen is None else (today - seen).days
    behind: float | None = None
    if v1_filed is not None:  # without any filing date v2 is as far behind as can be
        behind = _AGES if v2_filed is None else (v1_filed - v2_filed).days
    frame = pd.DataFrame(
        {
            "days_since_v2_was_seen": pd.array([age], "Float64"),
            "days_v2_is_behind_v1": pd.array([behind], "Float64"),
            "v2_last_seen": [None if seen is None else seen.isoformat()],
            "v1_last_filing": [None if v1_filed is None else v1_filed.date().isoformat()],
            "v2_last_filing": [None if v2_filed is None else v2_filed.date().isoformat()],
        }
    )
    return frame if records.num_rows or seen is not None else frame.iloc[:0]


def _latest(moments: pa.ChunkedArray) -> datetime | None:
    return pc.max(moments).as_py()


def _v2_records(findings: StatementFindings, today: date) -> pa.Table:
    own = v2_identities(findings.statement)
    table = findings.table("v2_records", [*_LABELS, FIRST_FILING, *own])
    for name in (name for s in Statement for name in v2_identities(s) if name not in own):
        table = table.append_column(name, pa.nulls(table.num_rows, pa.float64()))
    run_day = pa.scalar(datetime.combine(today, time()), table["filing_date"].type)
    days = pc.days_between(run_day, table["filing_date"])
    return table.append_column("days_after_run", days)


def counts(seen: pd.DataFrame) -> pd.DataFrame:
    """Return how many v2 periods each company and timeframe has, and how many the calendar has.

    Only periods with an end count, in timeframes whose length is known.
    """
    mine = seen[seen["state"].isin([PRESENT, Kind.EXTRA.value]) & seen["timeframe"].isin(_DAYS)]
    frame = (
        mine.groupby(["ticker", "cik", "timeframe"], dropna=False)["period_end"]
        .agg(periods="nunique", first_end="min", last_end="max")
        .dropna()
        .reset_index()
    )
    days = (frame["last_end"] - frame["first_end"]).dt.days
    each = frame["timeframe"].astype(object).map(_DAYS).astype(float)
    frame["calendar_holds"] = (np.floor(days / each + 0.5) + 1).astype(int)
    frame["periods"] = frame["periods"].astype(int)
    return frame
