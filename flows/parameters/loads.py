"""The parameters of the flows that load."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import (
    RARELY,
    TICKERS_FLAG,
    BaseUrl,
    Day,
    DaysBack,
    GenerationChoice,
    LakeFolder,
    Named,
    Statements,
    Tickers,
    TickersFile,
    Timeframes,
    Universe,
    WithRatios,
    Witness,
)
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES, Generation

MAX_SHARDS = 500


class HistoricalLoadParameters(Parameters, Named):
    """All history of some tickers or a universe; without either, of the tickers in the lake."""

    generation: GenerationChoice = "both"
    tickers: Tickers = None
    tickers_file: TickersFile = None
    universe: Universe = None
    timeframes: Timeframes = DEFAULT_TIMEFRAMES
    statements: Statements = ALL_STATEMENTS
    from_date: Annotated[
        Day,
        Field(description="First filing date, included; without it, all"),
        Flag("--from", metavar="DAY", help="first filing date", unset="no limit"),
    ] = None
    to_date: Annotated[
        Day,
        Field(description="Last filing date, included; without it, no limit"),
        Flag("--to", metavar="DAY", help="last filing date, included", unset="no limit"),
    ] = None
    lake: LakeFolder = None
    base_url: BaseUrl = None
    resume: Annotated[
        bool,
        Field(description="Continue a run of the last day that was cut off"),
        Flag("--fresh", help="do not continue a run that was cut off", group=RARELY),
    ] = True
    adopt: Annotated[
        bool,
        Field(description="Write v1's files in our form, although another tool wrote them"),
        Flag(
            help="rewrite v1's files of another tool with this project's columns and types; "
            "their originals are kept, and `restore --adopted` puts them back",
            group=RARELY,
        ),
    ] = False
    original_dates: Annotated[
        bool,
        Field(description="Ask the vendor's filings index when v2's periods were first filed"),
        Flag(
            help="ask the vendor's filings index when v2's periods were first filed, for backtests",
            group=RARELY,
        ),
    ] = False
    witness: Annotated[
        Witness,
        Flag(
            help="with --original-dates: ask SEC EDGAR first, whose dates are exact", group=RARELY
        ),
    ] = None

    ratios: WithRatios = False
    known_cik: ClassVar[None] = None  # `fundamentals` has one

    @property
    def filters(self) -> Filters:
        """The filters of a window that includes both of its ends."""
        first, last = self.from_date, self.to_date
        return Filters(
            timeframes=tuple(self.timeframes),
            filing_date_gte=first.isoformat() if first else None,
            filing_date_lt=(last + timedelta(days=1)).isoformat() if last else None,
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.from_date and self.to_date and self.from_date > self.to_date:
            raise UsageError(f"--from {self.from_date} comes after --to {self.to_date}")
        if self.names and self.universe is not None:
            raise UsageError("give --universe, or name tickers; not both")
        if self.adopt and self.generation == "v2":
            raise UsageError("--adopt is for v1's files: give --generation v1 or both")
        if self.original_dates and self.generation == "v1":
            raise UsageError("--original-dates is for v2's periods: give --generation v2 or both")
        if self.ratios and self.generation == "v1":
            raise UsageError("--ratios is a dataset of v2: give --generation v2 or both")
        if self.witness and not self.original_dates:
            raise UsageError("--witness needs --original-dates here: give both")
        return self

    @property
    def recorded(self) -> dict[str, object]:
        """The parameters as the ledger has them; a run that was cut off is known by them."""
        return {
            "generation": self.generation,
            "tickers": self.names,
            "universe": self.universe,
            "statements": [s.value for s in self.statements],
            **self.filters.as_json(),
            **({"ratios": True} if self.ratios else {}),
        }


class _Shards(Parameters):
    shards: Annotated[
        int, Field(ge=1, le=MAX_SHARDS, description="How many flow runs to split it into")
    ] = 4


class ShardedLoadParameters(HistoricalLoadParameters, _Shards):
    """A historical load split over workers; `shards` comes first in the form."""

    @property
    def recorded(self) -> dict[str, object]:
        """The parameters as the ledger has them."""
        return {**super().recorded, "shards": self.shards, "base_url": self.base_url}

    def of_a_shard(self, lake: str) -> dict[str, object]:
        """Return the parameters of each shard's run, as JSON; its tickers come in a file."""
        own = {"shards", "tickers", "tickers_file", "universe"}
        return {**self.model_dump(mode="json", exclude=own), "lake": lake}


class DailyUpdateParameters(Parameters, Named):
    """What was filed in the last days."""

    generation: GenerationChoice = "both"
    days_back: DaysBack = 7
    day: Annotated[
        Day,
        Field(description="The last day to load; without it, today in New York"),
        Flag("--date", metavar="DAY", help="the last day", unset="today in New York"),
    ] = None
    tickers: Annotated[Tickers, replace(TICKERS_FLAG, unset="those in the lake")] = None
    tickers_file: TickersFile = None
    universe: Universe = None
    timeframes: Timeframes = DEFAULT_TIMEFRAMES
    statements: Statements = ALL_STATEMENTS
    lake: LakeFolder = None
    base_url: BaseUrl = None
    ratios: WithRatios = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ratios and self.generation == "v1":
            raise UsageError("--ratios is a dataset of v2: give --generation v2 or both")
        if self.names and self.universe is not None:
            raise UsageError("give tickers or --universe, not both")
        return self

    def recorded(self, last: date, base_url: str) -> dict[str, object]:
        """Return the parameters as the ledger has them; `last` is the day asked for."""
        return {
            "generation": self.generation,
            "tickers": self.names,
            "universe": self.universe,
            "statements": [s.value for s in self.statements],
            "timeframes": [t.value for t in self.timeframes],
            "days_back": self.days_back,
            "date": last.isoformat(),
            "base_url": base_url,
            **({"ratios": True} if self.ratios else {}),
        }


class RatiosParameters(Parameters, Named):
    """The vendor's ratios of the last trading day."""

    tickers: Annotated[Tickers, replace(TICKERS_FLAG, unset="those in the lake")] = None
    tickers_file: TickersFile = None
    universe: Universe = None
    lake: LakeFolder = None
    base_url: BaseUrl = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.names and self.universe is not None:
            raise UsageError("give tickers or --universe, not both")
        return self

    def recorded(self, base_url: str) -> dict[str, object]:
        """Return the parameters as the ledger has them."""
        return {"tickers": self.names, "universe": self.universe, "base_url": base_url}


class RefreshParameters(Parameters, Named):
    """All of v2 again."""

    tickers: Annotated[Tickers, replace(TICKERS_FLAG, unset="those in the lake")] = None
    tickers_file: TickersFile = None
    timeframes: Timeframes = DEFAULT_TIMEFRAMES
    statements: Statements = ALL_STATEMENTS
    accept_withdrawals: Annotated[
        bool,
        Field(description="Withdraw records that v2 no longer has, even most of a ticker's"),
        Flag(),
    ] = False
    lake: LakeFolder = None
    base_url: BaseUrl = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.names
        return self

    @property
    def filters(self) -> Filters:
        """The filters: these periods, whenever they were filed."""
        return Filters(timeframes=tuple(self.timeframes))

    def recorded(self, base_url: str) -> dict[str, object]:
        """Return the parameters as the ledger has them."""
        return {
            "generation": Generation.V2.value,
            "tickers": self.names,
            "statements": [s.value for s in self.statements],
            **self.filters.as_json(),
            "base_url": base_url,
        }
