"""The query of `GET /vX/reference/financials`: its parameters, its order and its cursors."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from polygon_fundamentals.business_days import day_of_text
from polygon_fundamentals.v1_view.shelf_file import Record

MAX_LIMIT = 100
Test = Callable[[Record], bool]


class BadQueryError(Exception):
    """A query that is answered with 400; the text says which parameter and why."""


def _as_day(text: str) -> str:
    try:
        return day_of_text(text).isoformat()
    except ValueError:
        raise ValueError("is not a date of the form YYYY-MM-DD") from None


Day = Annotated[str, AfterValidator(_as_day)] | None


class V1Query(BaseModel):
    """The parameters that the vendor describes, under its names; others are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ticker: str | None = Field(None, description="Query by company ticker.")
    cik: str | None = Field(None, description="Query by central index key (CIK) number.")
    company_name: str | None = Field(None, description="Query by company name.")
    company_name_search: str | None = Field(
        None, alias="company_name.search", description="Search by company_name."
    )
    sic: str | None = Field(None, description="Query by standard industrial classification.")
    filing_date: Day = Field(None, description="Query by the date of the filing, YYYY-MM-DD.")
    filing_date_gte: Day = Field(None, alias="filing_date.gte")
    filing_date_gt: Day = Field(None, alias="filing_date.gt")
    filing_date_lte: Day = Field(None, alias="filing_date.lte")
    filing_date_lt: Day = Field(None, alias="filing_date.lt")
    period_of_report_date: Day = Field(None, description="The last day of the period.")
    period_of_report_date_gte: Day = Field(None, alias="period_of_report_date.gte")
    period_of_report_date_gt: Day = Field(None, alias="period_of_report_date.gt")
    period_of_report_date_lte: Day = Field(None, alias="period_of_report_date.lte")
    period_of_report_date_lt: Day = Field(None, alias="period_of_report_date.lt")
    timeframe: Literal["annual", "quarterly", "ttm"] | None = Field(None)
    include_sources: bool = Field(
        False, description="Whether to include the xpath and formula that the lake has."
    )
    order: Literal["asc", "desc"] | None = Field(None, description="Order by the `sort` field.")
    limit: int = Field(10, ge=1, le=MAX_LIMIT, description="10 by default, at most 100.")
    sort: Literal["filing_date", "period_of_report_date"] | None = Field(None)
    cursor: str | None = Field(None, description="Where a page begins: as `next_url` has it.")

    @property
    def by_filing(self) -> bool:
        """Whether the order is that of filing dates, not of period ends."""
        return self.sort == "filing_date"

    @property
    def descending(self) -> bool:
        """Whether the latest comes first; without `sort` and `order` it does."""
        return (self.order or ("asc" if self.sort else "desc")) == "desc"


def read_query(terms: dict[str, object]) -> V1Query:
    """Return the query of some parameters. Raises BadQueryError for a value the API refuses."""
    try:
        return V1Query.model_validate(terms)
    except ValidationError as error:
        raise BadQueryError(problem_of(error.errors())) from None


def problem_of(errors: Sequence[Any]) -> str:
    """Return what is wrong with the first refused parameter, in one line."""
    first = errors[0]
    name = str(first["loc"][-1]) if first.get("loc") else "query"
    text = str(first["msg"]).removeprefix("Value error, ")
    value = ascii(str(first.get("input", "")))[:60]
    return f"{name}: {value} {text[:1].lower()}{text[1:]}"


# The place of a record in an order: its date as a number, then what tells equal dates apart.
Place = tuple[int, tuple[str, ...]]


def encode_cursor(query: V1Query, place: Place) -> str:
    """Return an opaque cursor that holds the query and the last record of the page before."""
    terms = query.model_dump(by_alias=True, exclude_defaults=True, exclude={"cursor"})
    return (
        base64.urlsafe_b64encode(orjson.dumps({**terms, "ap": place[0], "as": place[1]}))
        .decode()
        .rstrip("=")
    )


def decode_cursor(cursor: str) -> tuple[V1Query, Place]:
    """Return the query of a cursor and the place after which its page begins.

    Raises:
        BadQueryError: it is not a cursor of this server.
    """
    try:
        terms = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        number, texts = terms.pop("ap"), terms.pop("as")
        if type(number) is not int or not all(isinstance(t, str) for t in texts):
            raise TypeError
        return read_query(terms), (number, tuple(texts))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise BadQueryError("cursor: not a cursor of this server") from None


class Records:
    """Records that can be listed in every order."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = tuple(records)
        self._orders: dict[tuple[bool, bool], tuple[list[int], list[Record]]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def _ordered(self, by_filing: bool, descending: bool) -> tuple[list[int], list[Record]]:
        """Return the records in an order, and beside them the numbers that they ascend by.

        A record without the date comes before all others, and descending after them.
        """
        known = self._orders.get((by_filing, descending))
        if known is None:
            rows = sorted(
                self._records, key=lambda r: (_number(r, by_filing, descending), _rank(r))
            )
            known = ([_number(r, by_filing, descending) for r in rows], rows)
            self._orders[by_filing, descending] = known
        return known

    def page(self, query: V1Query, after: Place | None) -> tuple[list[Record], Place | None]:
        """Return one page, and the place that the next begins after; None at the end."""
        numbers, rows = self._ordered(query.by_filing, query.descending)
        at = 0
        if after is not None:
            first, last = bisect_left(numbers, after[0]), bisect_right(numbers, after[0])
            at = bisect_right(rows, after[1], first, last, key=_rank)
        tests = tests_of(query)
        matches: list[Record] = []
        for i in range(at, len(rows)):
            record = rows[i]
            if all(test(record) for test in tests):
                if len(matches) == query.limit:
                    last_one = matches[-1]
                    number = _number(last_one, query.by_filing, query.descending)
                    return matches, (number, _rank(last_one))
                matches.append(record)
        return matches, None


def _rank(record: Record) -> tuple[str, ...]:
    """Return what tells records of one date apart; without a CIK the ticker names the company."""
    return record.ties if record.cik else (*record.ties, *record.owners)


def _number(record: Record, by_filing: bool, descending: bool) -> int:
    text = record.filing_date if by_filing else record.end_date
    number = int(text.replace("-", "")) if text else 0
    return -number if descending else number


def tests_of(query: V1Query) -> list[Test]:
    """Return a test for each filter of a query; a record without a value passes none."""
    tests: list[Test] = []
    ticker, cik, name, sic = query.ticker, query.cik, query.company_name, query.sic
    search, timeframe = query.company_name_search, query.timeframe
    if ticker is not None:
        tests.append(lambda r: ticker in r.owners or ticker in r.tickers)
    if cik is not None:
        tests.append(lambda r: r.cik == cik)
    if name is not None:
        tests.append(lambda r: r.company_name == name)
    if search is not None:
        part = search.lower()
        tests.append(lambda r: part in r.company_name.lower())
    if sic is not None:
        tests.append(lambda r: r.sic == sic)
    if timeframe is not None:
        tests.append(lambda r: r.timeframe == timeframe)
    tests += _range_tests(query, "filing_date", lambda r: r.filing_date)
    tests += _range_tests(query, "period_of_report_date", lambda r: r.end_date)
    return tests


def _range_tests(query: V1Query, name: str, date_of: Callable[[Record], str]) -> list[Test]:
    """Return the tests of a date; as texts, days of this form compare as days do."""
    tests: list[Test] = []
    exact, gte, gt, lte, lt = (
        getattr(query, f"{name}{suffix}") for suffix in ("", "_gte", "_gt", "_lte", "_lt")
    )
    if exact is not None:
        tests.append(lambda r: date_of(r) == exact)
    if gte is not None:
        tests.append(lambda r: date_of(r) >= gte)
    if gt is not None:
        tests.append(lambda r: date_of(r) > gt)
    if lte is not None:
        tests.append(lambda r: "" < date_of(r) <= lte)
    if lt is not None:
        tests.append(lambda r: "" < date_of(r) < lt)
    return tests
