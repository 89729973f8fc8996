"""A report of parity as a run leaves it, without findings unless some are given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.lake import Lake

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("statement", "cik", "ticker", "timeframe")),
        ("period_end", pa.date32()),
        ("v2_field", pa.string()),
        ("v1_value", pa.float64()),
        ("v2_value", pa.float64()),
        ("kind", pa.string()),
    ]
)
VALUE = {
    "statement": "cash_flow",
    "cik": "0000000001",
    "ticker": "AAA",
    "timeframe": "annual",
    "period_end": date(2025, 12, 31),
    "v2_field": "dividends",
    "v1_value": 1.0,
    "v2_value": 2.0,
    "kind": "restated",
}


def parity_report(
    lake: Lake,
    run: str,
    values: Sequence[dict[str, Any]] = (),
    missing_periods: Sequence[str] = (),
    tickers: Sequence[str] = (),
    rules_broken: Sequence[str] = (),
    sample: int | None = None,
    relaxed: Sequence[str] = (),
    cases: Sequence[tuple[str, int]] = (),
) -> dict[str, Any]:
    """Write a report; return what the ledger says of it.

    `values` change `VALUE`; `missing_periods` are years' ends, `tickers` missing ones, `cases`
    tickers whose labels differ in so many periods.
    """
    folder = lake.ops / "parity" / "reports" / f"20260612T000000Z-{run}"
    folder.mkdir(parents=True)
    rows = [{**VALUE, **value} for value in values]
    path = folder / "values.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)
    lines = [f"cash_flow,AAA,,0000000001,annual,{end}," for end in missing_periods]
    head = "statement,ticker,tickers,cik,timeframe,period_end,filing_date"
    (folder / "missing_periods.csv").write_text("\n".join([head, *lines, ""]))
    lines = [f"{ticker},missing,cash_flow" for ticker in tickers]
    (folder / "tickers.csv").write_text("\n".join(["ticker,kind,statement", *lines, ""]))
    lines = [f"Labels,,cash_flow,{ticker},,periods all,differing {n}" for ticker, n in cases]
    head = "rule,detail,statement,ticker,cik,case,facts"
    (folder / "cases.csv").write_text("\n".join([head, *lines, ""]))
    (folder / "checkpoint.json").write_text("{}")
    summary = {
        "scope": "the whole history" if sample is None else f"a sample of {sample} tickers",
        "compared": 10,
        "differences": dict(Counter(row["kind"] for row in rows)),
        "absent_tickers": {"missing": list(tickers)} if tickers else {},
        "rules_broken": list(rules_broken),
        "relaxed": list(relaxed),
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    report = str(Path("/moved") / path.relative_to(lake.root))
    scope = {} if sample is None else {"sample": sample}
    return {"passed": not rules_broken, "report": report, **scope}
