"""The parameters of `fundamentals`, with the options of older users."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import BaseUrl, Day, LakeFolder, Statements, Timeframes
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.load.query import Filters, as_cik
from polygon_fundamentals.statements import ALL_STATEMENTS, Generation, Timeframe
from polygon_fundamentals.tickers import read_tickers

DAYS_WITHOUT_DATES = 180


class FundamentalsParameters(Parameters):
    """Some tickers once."""

    tickers: Annotated[
        list[str],
        Field(description="Tickers to load, such as AAPL"),
        Flag("TICKER", help="such as AAPL; one or more, unless --cik is given"),
    ]
    generation: Annotated[
        Literal["v1", "v2"] | None,
        Field(description="Which API to load; without it, the generation that readers see"),
        Flag(
            values={
                "--use-v1": ("v1", "load from the deprecated API"),
                "--use-v2": ("v2", "load from the official API"),
            }
        ),
    ] = None
    timeframes: Annotated[Timeframes, Flag("--timeframe", unset="quarterly")] = [  # noqa: RUF012
        Timeframe.QUARTERLY
    ]
    statements: Statements = ALL_STATEMENTS
    filing_date_gte: Annotated[
        Day,
        Field(description="First filing date; without any date or period, 180 days ago"),
        Flag(metavar="DAY", help="first filing date", unset=f"{DAYS_WITHOUT_DATES} days ago"),
    ] = None
    filing_date_lt: Annotated[
        Day, Field(description="Filed before this day"), Flag(metavar="DAY")
    ] = None
    cik: Annotated[str | None, Field(description="Load by CIK instead of by ticker"), Flag()] = None
    period_end: Annotated[
        Day, Field(description="Only the period that ends on this day"), Flag(metavar="DAY")
    ] = None
    fiscal_year: Annotated[
        int | None, Field(description="Only this fiscal year"), Flag(metavar="YYYY")
    ] = None
    fiscal_quarter: Annotated[
        int | None,
        Field(ge=1, le=4, description="Only this fiscal quarter, 1 to 4"),
        Flag(metavar="N"),
    ] = None
    limit: Annotated[
        int | None,
        Field(ge=1, le=50_000, description="Rows per page"),
        Flag(metavar="N", unset="the API's maximum"),
    ] = None
    lake: LakeFolder = None
    base_url: BaseUrl = None

    # What only `historical-load` can be asked for.
    universe: ClassVar[None] = None
    witness: ClassVar[None] = None
    resume: ClassVar[bool] = False
    adopt: ClassVar[bool] = False
    original_dates: ClassVar[bool] = False
    ratios: ClassVar[bool] = False

    @cached_property
    def names(self) -> list[str]:
        """The tickers that are named, each once."""
        return read_tickers(self.tickers, option="TICKER")

    @property
    def filters(self) -> Filters:
        """The filters; without any date or period, what was filed in the last 180 days."""
        first = self.filing_date_gte
        others = (self.filing_date_lt, self.period_end, self.fiscal_year, self.fiscal_quarter)
        if first is None and all(value is None for value in others):
            first = today_in_new_york() - timedelta(days=DAYS_WITHOUT_DATES)
        return Filters(
            timeframes=tuple(self.timeframes),
            filing_date_gte=first.isoformat() if first else None,
            filing_date_lt=self.filing_date_lt.isoformat() if self.filing_date_lt else None,
            period_end=self.period_end.isoformat() if self.period_end else None,
            fiscal_year=self.fiscal_year,
            fiscal_quarter=self.fiscal_quarter,
            page=self.limit,
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.names and self.cik is None:
            raise UsageError("name a ticker, such as `fundamentals AAPL`, or give --cik")
        _ = self.known_cik, self.filters
        return self

    @property
    def known_cik(self) -> str | None:
        """The CIK in its ten digits."""
        return None if self.cik is None else as_cik(self.cik)

    def recorded(self, generation: Generation) -> dict[str, object]:
        """Return the parameters as the ledger has them."""
        return {
            "generation": generation.value,
            "tickers": self.names,
            "cik": self.known_cik,
            "statements": [s.value for s in self.statements],
            **self.filters.as_json(),
        }
