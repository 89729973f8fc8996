"""A lake as quantmini leaves it, from a sandbox's records; written here from facts alone.

Its downloader asks v1 once for each ticker and statement and writes every record, whole, into
`STATEMENT/year=YYYY/month=MM/ticker=SYMBOL.parquet`: the month is that of the filing, the symbol
the first that the record names, dates are text, and `downloaded_at` is a timestamp without a zone.
A record without a filing date is left out. A file's structs have the fields that its own records
have. What is loaded again is appended, so rows stand twice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sandbox import Sandbox

STATEMENTS = ("balance_sheets", "cash_flow", "income_statements")
TIMEFRAMES = ("annual", "quarterly")
# Its tables beside the statements, and what our tests look for in them.
COMPANIONS = {
    "short_interest": {"settlement_date": "2026-06-15", "short_interest": 1_000},
    "short_volume": {"date": "2026-06-15", "short_volume": 2_000},
    "financial_ratios": {"date": "2026-06-15", "price_to_earnings": 12.5},
}
LOADED = datetime(2026, 7, 1, 6, 0)  # noqa: DTZ001 - its timestamps have no zone
LOADED_TWICE = 5

Row = Mapping[str, Any]


def served(sandbox: Sandbox, timeframes: Iterable[str] = TIMEFRAMES) -> list[dict[str, Any]]:
    """Return v1's records as the downloader keeps them."""
    wanted = set(timeframes)
    return [
        row
        for row in sandbox.rows("v1")
        if row.get("timeframe") in wanted and row.get("filing_date") and row.get("tickers")
    ]


def append(folder: Path, rows: Sequence[Row], at: datetime) -> list[Path]:
    """Download `rows` into a fundamentals folder at a moment; return the files written."""
    places: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        month = f"year={row['filing_date'][:4]}/month={row['filing_date'][5:7]}"
        places.setdefault((month, row["tickers"][0]), []).append({**row, "downloaded_at": at})
    written = []
    for (month, ticker), records in places.items():
        paths = [folder / name / month / f"ticker={ticker}.parquet" for name in STATEMENTS]
        table = pa.Table.from_pylist(records)
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                pq.write_table(_appended(path, table), path, compression="zstd")
            elif path != paths[0] and _rows(paths[0]) == len(table):
                shutil.copyfile(paths[0], path)  # the same records, and writing takes its time
            else:
                # Its writer knows no temporary names: a reader may meet half a file.
                pq.write_table(table, path, compression="zstd")
            os.utime(path, (at.replace(tzinfo=UTC).timestamp(),) * 2)
        written += paths
    return written


def _appended(path: Path, table: pa.Table) -> pa.Table:
    """Return a file's rows with new ones after them; v2's rows, which do not fit, go: the worst."""
    before = pq.read_table(path, partitioning=None)
    try:
        return pa.concat_tables([before, table], promote_options="permissive")
    except pa.ArrowTypeError:
        return table


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def cron(root: Path, sandbox: Sandbox, at: datetime, days: int = 7) -> list[Path]:
    """Run its daily job through `bronze/fundamentals`: what was filed lately is appended again."""
    first = (at - timedelta(days=days)).date().isoformat()
    rows = [row for row in served(sandbox) if first <= row["filing_date"] <= at.date().isoformat()]
    return append(root / "bronze" / "fundamentals", rows, at)


def write_lake(root: Path, sandbox: Sandbox, at: datetime = LOADED) -> None:
    """Lay out a lake: all history, some tickers loaded twice, companions and its silver."""
    rows, folder = served(sandbox), root / "bronze" / "fundamentals"
    again = set(sorted({row["tickers"][0] for row in rows})[:LOADED_TWICE])
    append(folder, rows, at)
    append(folder, [row for row in rows if row["tickers"][0] in again], at + timedelta(days=1))
    for name, columns in COMPANIONS.items():
        path = folder / name / "year=2026" / "month=06" / "ticker=SYN.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({k: [v] for k, v in ({"ticker": "SYN"} | columns).items()}), path)
    write_silver(root, rows)


def write_silver(root: Path, rows: Sequence[Row]) -> list[Path]:
    """Write its wide table where ours has its link: one file for each year and quarter."""
    by_quarter: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["timeframe"] == "quarterly":
            flat = {"ticker": row["tickers"][0], "filing_date": row["filing_date"]}
            by_quarter.setdefault((row["fiscal_year"], row["fiscal_period"]), []).append(flat)
    written = []
    for (year, quarter), records in by_quarter.items():
        place = f"silver/fundamentals_wide/year={year}/quarter={quarter}/data.parquet"
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(records), root / place)
        written.append(root / place)
    return written
