"""Parameters that several flows share: as the form shows them, and as flags."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Annotated, Literal, Protocol

from pydantic import Field, StringConstraints

from flows.parameters.declaration import Flag
from polygon_fundamentals.statements import Statement, Timeframe
from polygon_fundamentals.tickers import read_tickers

WHICH, WHERE, RARELY = "which tickers", "where and how", "rarely needed"
MAX_DAYS_BACK = 3660

TICKERS_FLAG = Flag(metavar="A,B", help="tickers, such as AAPL,MSFT", group=WHICH)

# A text that says something, such as a reason. An unset shell variable is an empty one, and so is a
# field of Prefect's form that somebody typed into and emptied.
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
GenerationChoice = Annotated[
    Literal["v1", "v2", "both"],
    Field(
        description="v1 is the deprecated API, v2 the official one; of both, a v1 that answers "
        "410 for good is left out"
    ),
    Flag(),
]
Tickers = Annotated[
    list[str] | None,
    Field(description="Such as AAPL; the flow's description says what it uses without any"),
    TICKERS_FLAG,
]
TickersFile = Annotated[
    str | None,
    Field(description="A file with one ticker per line, at a path that the worker can read"),
    Flag(metavar="FILE", help="a text file with one ticker per line", group=WHICH),
]
Universe = Annotated[
    Literal["active", "all"] | None,
    Field(description="The whole market: listed companies (active), or delisted ones too (all)"),
    Flag(group=WHICH),
]
Timeframes = Annotated[
    list[Timeframe],
    Field(min_length=1, description="Which periods to load"),
    Flag("--timeframe", unset="quarterly and annual"),
]
Statements = Annotated[
    list[Statement],
    Field(min_length=1, description="Which of the three statements"),
    Flag("--statement", unset="all three"),
]
Day = Annotated[
    date | None,
    Field(description="A day in New York, as YYYY-MM-DD"),
    Flag(metavar="DAY"),
]
LakeFolder = Annotated[
    Text | None,
    Field(description="The lake's folder; without it, QUANTLAKE_ROOT, else ./data"),
    Flag(metavar="DIR", help="the lake", unset="QUANTLAKE_ROOT, else ./data", group=WHERE),
]
BaseUrl = Annotated[
    Text | None,
    Field(description="Another address of the API, such as a sandbox's"),
    Flag(metavar="URL", unset="POLYGON_BASE_URL, else the vendor's", group=WHERE),
]
WithRatios = Annotated[
    bool,
    Field(description="Also load the vendor's ratios of the last trading day"),
    Flag("--ratios"),
]
Witness = Annotated[
    Literal["edgar"] | None,
    Field(description="Ask SEC EDGAR, whose filings settle differences of v1 and v2"),
    Flag(help="ask SEC EDGAR about differences; needs EDGAR_IDENTITY", group=WHERE),
]
DaysBack = Annotated[
    int,
    Field(ge=0, le=MAX_DAYS_BACK, description="How many days to look back from the last one"),
    Flag(metavar="N"),
]


class _NamesTickers(Protocol):
    @property
    def tickers(self) -> list[str] | None: ...
    @property
    def tickers_file(self) -> str | None: ...


class Named:
    """Parameters that name tickers in a list and in a file."""

    @cached_property
    def names(self: _NamesTickers) -> list[str]:
        """The tickers that are named, each once."""
        return read_tickers(self.tickers, self.tickers_file)
