"""What a load asks for: filters, and the parameters they become in each generation.

Facts: v1 takes one `ticker` and one `timeframe` per request, at most 100 rows per page; v2
takes lists (`tickers.any_of`, `cik.any_of`, `timeframe.any_of`) and up to 50,000 rows
(vendor's OpenAPI description).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import pairwise

from polygon_fundamentals.business_days import day_of_text, today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.statements import Statement, Timeframe

V1_PAGE = 100
V2_PAGE = 50_000
# 160 tickers of 17 years are some 13,000 rows per statement: one page, some 15 MB of JSON.
BATCH = 160
# A list parameter's length: 300 CIKs make an address of some 4,100 characters, commas encoded;
# web servers commonly refuse one of more than 8,192.
VALUES = 300
# A year, and the longest delay of a report.
_YEAR_AND_DELAY = timedelta(days=505)


def as_day(text: str, name: str) -> date:
    """Return the day that a YYYY-MM-DD text names.

    Raises:
        UsageError: it names none.
    """
    try:
        return day_of_text(text)
    except ValueError:
        raise UsageError(f"{name} {text!r} is not a valid date; write it as YYYY-MM-DD") from None


def as_cik(text: str) -> str:
    """Return a CIK in its ten digits.

    Raises:
        UsageError: the text is not a CIK.
    """
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise UsageError(f"--cik {text!r} is not a CIK: give up to ten digits")
    return text.zfill(10)


def even_groups(values: Sequence[str], most: int) -> list[list[str]]:
    """Return the values in as few groups of at most `most` as there can be, of even sizes."""
    count = -(-len(values) // most)
    edges = [len(values) * i // count for i in range(count + 1)] if count else [0]
    return [list(values[a:b]) for a, b in pairwise(edges)]


def v2_batch(tickers: int) -> int:
    """Return how many of so many tickers are fetched and stored at once: at least two batches.

    With three statements that is an even number of jobs, so that two writers have equal shares.
    """
    return max(1, min(BATCH, -(-tickers // 2)))


@dataclass(frozen=True)
class Filters:
    """What narrows a load; days are YYYY-MM-DD in New York, `filing_date_lt` excluded.

    `page` is the number of rows per page, the API's maximum by default.
    """

    timeframes: tuple[Timeframe, ...] = (Timeframe.QUARTERLY, Timeframe.ANNUAL)
    filing_date_gte: str | None = None
    filing_date_lt: str | None = None
    period_end: str | None = None
    fiscal_year: int | None = None
    fiscal_quarter: int | None = None
    page: int | None = None

    @property
    def is_whole_history(self) -> bool:
        """Whether nothing but the timeframes narrows it: a company that exists has rows then."""
        return self == Filters(self.timeframes, page=self.page)

    def __post_init__(self) -> None:
        days = [
            as_day(text, name)
            for name, text in (
                ("--filing-date-gte (--from)", self.filing_date_gte),
                ("--filing-date-lt (--to)", self.filing_date_lt),
            )
            if text is not None
        ]
        if self.period_end is not None:
            as_day(self.period_end, "--period-end")
        if len(days) == 2 and days[0] >= days[1]:
            raise UsageError(
                f"the range {days[0]} to {days[1] - timedelta(days=1)} is empty: "
                "the first day must not come after the last"
            )
        if self.fiscal_year is not None and not 1000 <= self.fiscal_year <= 9999:
            raise UsageError(f"--fiscal-year {self.fiscal_year} is not a year; write it as YYYY")
        if self.fiscal_quarter is not None and not 1 <= self.fiscal_quarter <= 4:
            raise UsageError(f"--fiscal-quarter {self.fiscal_quarter} is not 1 to 4")
        if self.page is not None and not 1 <= self.page <= V2_PAGE:
            raise UsageError(f"--limit {self.page} is not 1 to {V2_PAGE} rows per page")

    @property
    def whole_periods(self) -> bool:
        """Whether an answer holds all labels of the periods in it."""
        narrowed = (
            self.filing_date_gte,
            self.filing_date_lt,
            self.fiscal_year,
            self.fiscal_quarter,
        )
        return all(value is None for value in narrowed)

    @property
    def spans_years(self) -> bool:
        """Whether each company that files reports has some among what is asked for."""
        narrowed = (self.filing_date_lt, self.period_end, self.fiscal_year, self.fiscal_quarter)
        latest = (today_in_new_york() - _YEAR_AND_DELAY).isoformat()
        first = self.filing_date_gte or latest
        return first <= latest and all(value is None for value in narrowed)

    def as_json(self) -> dict[str, object]:
        """Return the filters as small JSON, to pass between tasks."""
        return asdict(self)


def v1_requests(who: dict[str, str], filters: Filters) -> list[dict[str, str]]:
    """Return the parameters of the requests that fetch v1's records of one ticker or CIK.

    One request if all timeframes or one are wanted, else one per timeframe. v1 has no filter on
    the fiscal year and quarter: those are applied to the answer.
    """
    shared = {**who, "limit": str(min(filters.page or V1_PAGE, V1_PAGE))}
    shared |= _given(
        {
            "filing_date.gte": filters.filing_date_gte,
            "filing_date.lt": filters.filing_date_lt,
            "period_of_report_date": filters.period_end,
        }
    )
    if set(filters.timeframes) == set(Timeframe):
        return [shared]
    return [{**shared, "timeframe": timeframe.v1} for timeframe in filters.timeframes]


def v2_timeframes(statement: Statement, filters: Filters) -> tuple[str, ...]:
    """Return the timeframes to ask v2 for, in its spelling; empty where it has none."""
    return tuple(t.v2 for t in statement.v2_timeframes if t in filters.timeframes)


def v2_request(
    statement: Statement, filters: Filters, *, tickers: Sequence[str] = (), ciks: Sequence[str] = ()
) -> dict[str, str]:
    """Return the parameters of the request for some companies, by CIK or by ticker."""
    timeframes = v2_timeframes(statement, filters)
    params = {"limit": str(filters.page or V2_PAGE)}
    for name, values in (("cik", ciks), ("tickers", tickers)):
        if values:
            params |= _one_or_any(name, sorted(values))
    if set(timeframes) != {t.v2 for t in statement.v2_timeframes}:
        params |= _one_or_any("timeframe", timeframes)
    return params | _given(
        {
            "filing_date.gte": filters.filing_date_gte,
            "filing_date.lt": filters.filing_date_lt,
            "period_end": filters.period_end,
            "fiscal_year": filters.fiscal_year,
            "fiscal_quarter": filters.fiscal_quarter,
        }
    )


def _one_or_any(name: str, values: Sequence[str]) -> dict[str, str]:
    return {name: values[0]} if len(values) == 1 else {f"{name}.any_of": ",".join(values)}


def _given(params: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}
