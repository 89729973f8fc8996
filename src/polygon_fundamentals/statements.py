"""The words that both generations share: generation, statement, timeframe."""

from __future__ import annotations

from enum import StrEnum


class Generation(StrEnum):
    """Which of the two APIs a record came from."""

    V1 = "v1"
    V2 = "v2"


class Statement(StrEnum):
    """A dataset of the lake."""

    BALANCE_SHEETS = "balance_sheets"
    CASH_FLOW = "cash_flow"
    INCOME_STATEMENTS = "income_statements"

    @property
    def v2_path(self) -> str:
        """The path of the v2 endpoint that serves this statement."""
        return f"/stocks/financials/v1/{_V2_LAST_SEGMENT[self]}"

    @property
    def v1_sections(self) -> tuple[str, ...]:
        """The keys inside a v1 record's `financials` that this statement is made of."""
        return _V1_SECTIONS[self]

    @property
    def v2_timeframes(self) -> tuple[Timeframe, ...]:
        """The timeframes that v2 serves: balance sheets have no trailing twelve months."""
        if self is Statement.BALANCE_SHEETS:
            return (Timeframe.QUARTERLY, Timeframe.ANNUAL)
        return tuple(Timeframe)


class Snapshot(StrEnum):
    """A dataset of v2 that says how things stand on a day, whatever was filed when."""

    RATIOS = "ratios"

    @property
    def v2_path(self) -> str:
        """The path of the endpoint that serves the dataset."""
        return "/stocks/financials/v1/ratios"


class Timeframe(StrEnum):
    """The span of a period, in v1's spelling, which is also the lake's and the command line's."""

    QUARTERLY = "quarterly"
    ANNUAL = "annual"
    TTM = "ttm"

    @property
    def v1(self) -> str:
        """v1's spelling."""
        return self.value

    @property
    def v2(self) -> str:
        """v2's spelling: `trailing_twelve_months` for `ttm`, else the same."""
        return "trailing_twelve_months" if self is Timeframe.TTM else self.value


# The timeframes that a load fetches by default, and that a complete update of a lake covers.
ALL_STATEMENTS = list(Statement)
DEFAULT_TIMEFRAMES = [Timeframe.QUARTERLY, Timeframe.ANNUAL]

_V2_LAST_SEGMENT = {
    Statement.BALANCE_SHEETS: "balance-sheets",
    Statement.CASH_FLOW: "cash-flow-statements",
    Statement.INCOME_STATEMENTS: "income-statements",
}

_V1_SECTIONS = {
    Statement.BALANCE_SHEETS: ("balance_sheet",),
    Statement.CASH_FLOW: ("cash_flow_statement",),
    Statement.INCOME_STATEMENTS: ("income_statement", "comprehensive_income"),
}

V1_PATH = "/vX/reference/financials"
# The index of filings, which says when periods were first filed.
FILINGS_PATH = "/stocks/filings/vX/index"
