"""`fundamentals`: the command older users know; one load of the primary generation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from prefect import flow, runtime
from prefect.states import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.historical_load import run_load
from flows.parameters import BaseUrl, Day, LakeFolder, Statements, Timeframes
from flows.runs import Report, ended
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.query import Filters, as_cik
from polygon_fundamentals.settings import lake_root, threads
from polygon_fundamentals.statements import ALL_STATEMENTS, Generation, Timeframe
from polygon_fundamentals.tickers import read_tickers

DAYS_WITHOUT_DATES = 180
NEW_YORK = ZoneInfo("America/New_York")


def _run_name() -> str:
    given = runtime.flow_run.parameters
    return f"fundamentals {given['generation'] or 'primary'} · {', '.join(given['tickers'])[:60]}"


@flow(
    name="fundamentals",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=threads()),
    persist_result=False,
)
def fundamentals(
    tickers: Annotated[list[str], Field(description="Tickers to load, such as AAPL")],
    generation: Annotated[
        Literal["v1", "v2"] | None, Field(description="None: whichever readers see now")
    ] = None,
    timeframes: Timeframes = [Timeframe.QUARTERLY],  # noqa: B006 - Prefect copies parameters
    statements: Statements = ALL_STATEMENTS,
    filing_date_gte: Day = None,
    filing_date_lt: Day = None,
    cik: str | None = None,
    period_end: Day = None,
    fiscal_year: int | None = None,
    fiscal_quarter: Annotated[int | None, Field(ge=1, le=4)] = None,
    limit: Annotated[int | None, Field(ge=1, le=50_000, description="Rows a page")] = None,
    lake: LakeFolder = None,
    base_url: BaseUrl = None,
) -> State[Any]:
    """Load some tickers once, from the primary generation unless told otherwise.

    Without any date or period, what was filed in the last 180 days.
    """

    def body() -> Report:
        names = read_tickers(tickers)
        known = None if cik is None else as_cik(cik)
        if not names and known is None:
            raise UsageError("fundamentals needs a ticker, or --cik")
        first = filing_date_gte
        periods = (filing_date_lt, period_end, fiscal_year, fiscal_quarter)
        if first is None and all(value is None for value in periods):
            first = datetime.now(NEW_YORK).date() - timedelta(days=DAYS_WITHOUT_DATES)
        filters = Filters(
            timeframes=tuple(timeframes),
            filing_date_gte=first.isoformat() if first else None,
            filing_date_lt=filing_date_lt.isoformat() if filing_date_lt else None,
            period_end=period_end.isoformat() if period_end else None,
            fiscal_year=fiscal_year,
            fiscal_quarter=fiscal_quarter,
            page=limit,
        )
        chosen = Generation(generation) if generation else Lake(lake_root(lake)).primary
        return run_load(
            "fundamentals",
            {
                "generation": chosen.value,
                "tickers": names,
                "cik": known,
                "statements": [s.value for s in statements],
                **filters.as_json(),
            },
            [chosen],
            names,
            statements,
            filters,
            lake=lake,
            base_url=base_url,
            cik=known,
        )

    return ended(body)
