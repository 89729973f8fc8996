"""Parameters that several flows share, as the UI shows them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from polygon_fundamentals.statements import Statement, Timeframe

GenerationChoice = Annotated[
    Literal["v1", "v2", "both"],
    Field(description="v1 is the deprecated API, v2 the official one"),
]
Tickers = Annotated[
    list[str] | None, Field(description="Tickers to load, such as AAPL; none: see the flow")
]
TickersFile = Annotated[
    str | None, Field(description="A file with one ticker a line, as the worker sees it")
]
Universe = Annotated[
    Literal["active", "all"] | None,
    Field(description="The whole market: listed companies, or delisted ones too"),
]
Timeframes = Annotated[list[Timeframe], Field(description="Which periods to load")]
Statements = Annotated[list[Statement], Field(description="Which statements to load")]
Day = Annotated[date | None, Field(description="A day in New York, where filings happen")]
LakeFolder = Annotated[
    str | None, Field(description="The lake's folder; else QUANTLAKE_ROOT, else ./data")
]
BaseUrl = Annotated[str | None, Field(description="Another address of the API, or a sandbox")]
