"""Lakes fed from the sandbox's rows, some companies at a time, at a moment of the test's choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.load.store import StoreJob, store_v1, store_v2
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.reference import original_dates
from polygon_fundamentals.statements import V1_PATH, Generation, Statement, Timeframe
from sandbox import Sandbox

Answers = dict[tuple[str, str], bytes]


def answers(sandbox: Sandbox, ciks: Sequence[str], generations: Sequence[Generation]) -> Answers:
    """Return the whole answer for some companies: one a CIK in v1, one a statement in v2."""
    found: Answers = {}
    if Generation.V1 in generations:
        for cik in ciks:
            found["v1", cik] = _body(sandbox, V1_PATH, {"cik": cik})
    if Generation.V2 in generations:
        for statement in Statement:
            asked = {"cik.any_of": ",".join(ciks)}
            found["v2", statement.value] = _body(sandbox, statement.v2_path, asked)
    return found


def _body(sandbox: Sandbox, path: str, params: dict[str, str]) -> bytes:
    rows, more = sandbox.page(path, params, 0, 50_000)
    assert not more
    return b'{"status":"OK","results":[' + b",".join(rows) + b"]}"


def store(lake: Lake, found: Answers, followed: dict[str, list[str]], at: datetime) -> None:
    """Store answers as a load does that was made at `at`; `followed` is ticker → CIKs."""
    by_cik = {ciks[0]: ticker for ticker, ciks in followed.items()}
    root, v1 = str(lake.root), frozenset(t.v1 for t in Timeframe)
    v2 = frozenset(t.v2 for t in Timeframe)
    for (generation, name), body in found.items():
        if generation == "v1":
            owner, statements = by_cik[name], list(Statement)
            store_v1(StoreJob(root, statements, [body], {}, Scope.PERIODS, v1, at, owner))
        else:
            statements = [Statement(name)]
            store_v2(StoreJob(root, statements, [body], followed, Scope.PERIODS, v2, at))


def feed(
    sandbox: Sandbox,
    lake: Lake,
    followed: dict[str, list[str]],
    at: datetime,
    generations: Sequence[Generation] = tuple(Generation),
) -> None:
    """Load the companies whole, as the sandbox has them today."""
    ciks = [cik for known in followed.values() for cik in known]
    store(lake, answers(sandbox, ciks, generations), followed, at)


def company(index: int) -> str:
    """Return the CIK of the sandbox's company of a number."""
    return f"{9_000_000 + index:010d}"


def put(
    lake: Lake,
    generation: Generation,
    row: dict[str, Any],
    at: str,
    scope: Scope = Scope.WINDOW,
    statement: Statement = Statement.BALANCE_SHEETS,
) -> None:
    """Commit one record, as its API sends it, to the files of its tickers."""
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    if generation is Generation.V1:
        table, timeframes = v1_tables([row], moment)[statement], [t.v1 for t in Timeframe]
    else:
        table, timeframes = v2_table([row], statement, moment), [t.v2 for t in Timeframe]
    rows = {ticker: range(1) for ticker in row["tickers"]}
    incoming = Incoming(table, rows, scope, frozenset(timeframes), moment)
    commit(lake.dataset(generation, statement), incoming)


def load_v1(lake: Lake, rows: Sequence[dict[str, Any]], day: date, ticker: str = "ABC") -> None:
    """Store all that v1 has of a ticker's company on a day."""
    statements, timeframes = list(Statement), frozenset(t.v1 for t in Timeframe)
    body = orjson.dumps({"status": "OK", "results": rows})
    scope, at = Scope.COMPANIES, noon(day)
    store_v1(StoreJob(str(lake.root), statements, [body], {}, scope, timeframes, at, ticker))


def v2_balance(filed: str | None, assets: float, **other: Any) -> dict[str, Any]:
    """Return v2's balance sheet of ABC's first quarter of 2024; what is None is left out."""
    row = {
        "cik": "0000000001",
        "tickers": ["ABC"],
        "period_end": "2024-03-31",
        "filing_date": filed,
        "fiscal_year": 2024,
        "fiscal_quarter": 1,
        "timeframe": "quarterly",
        "total_assets": assets,
        **other,
    }
    return {name: value for name, value in row.items() if value is not None}


def v1_balance(**other: Any) -> dict[str, Any]:
    """Return v1's balance sheet of the same quarter, filed on 10 May 2024, with assets of 100."""
    assets = {"value": 100.0, "unit": "USD", "label": "Assets", "order": 100}
    return {
        "cik": "0000000001",
        "tickers": ["ABC"],
        "company_name": "ABC",
        "end_date": "2024-03-31",
        "filing_date": "2024-05-10",
        "fiscal_year": "2024",
        "fiscal_period": "Q1",
        "timeframe": "quarterly",
        "financials": {"balance_sheet": {"assets": assets}},
        **other,
    }


def noon(day: date) -> datetime:
    """Return a moment of a day that is the same day in New York."""
    return datetime(day.year, day.month, day.day, 20, tzinfo=UTC)


def keep_dates(
    lake: Lake,
    dates: dict[str, str],
    source: str = original_dates.SURE,
    ciks: Sequence[str] = ("0000000001",),
) -> None:
    """Keep first filings, by period end, as the filings index or another source tells them."""
    rows = [
        {
            "cik": cik,
            "period_end": date.fromisoformat(end),
            "first_filing_date": date.fromisoformat(filed),
            "source": source,
            "form_type": "10-Q",
            "asked_at": noon(date(2026, 1, 1)),
        }
        for cik in ciks
        for end, filed in dates.items()
    ]
    path = original_dates.dates_file(lake)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=original_dates.SCHEMA), path)


def examples(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the settings for so many examples."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=number, deadline=None, suppress_health_check=checks)


# Amended annual reports, a split to come, a late filer, restatements to come, two share classes'
# plain neighbour, a stray label, a delisting.
COMPANIES = {
    "AMND": [company(25)],
    "SPLT": [company(20)],
    "LATE": [company(41)],
    "RSTA": [company(44)],
    "RSTB": [company(45)],
    "STRY": [company(24)],
    "GONE": [company(16)],
}
