"""The rules of parity, one class each. Limits and budgets are arguments, kept in the suites."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd

from .base import JsonObject, ParityRule

Flags = pd.Series  # of booleans; Great Expectations evaluates annotations of its models
PRESENT, EXTRA = "present", "extra"  # the states of a period that both have, or v2 alone
CASE = ("ticker", "company_name", "cik", "timeframe", "period_end")


class _States(ParityRule):
    """Each row's state must be allowed, and no state may occur more often than allowed."""

    may_stand: JsonObject  # state → how many may; None: any number
    at_most: int | None = 0

    success_keys: ClassVar[tuple[str, ...]] = ("statement", "at_most", "may_stand")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        counts = rows["state"].value_counts()
        allowed = [
            state
            for state, limit in self.may_stand.items()
            if limit is None or counts.get(state, 0) <= limit
        ]
        return ~rows["state"].isin(allowed)


class ExpectEveryV1TickerToBeInV2(_States):
    """Every ticker of v1 is in v2, or it is known what became of it."""

    title: ClassVar[str] = "Every v1 ticker is in v2 or accounted for"
    noun: ClassVar[str] = "tickers of v1"
    shown: ClassVar[tuple[str, ...]] = (
        "ticker", "company_name", "cik", "state", "detail", "periods",
    )  # fmt: skip


class ExpectEveryV1PeriodToBeInV2(_States):
    """Every period of v1 is in v2."""

    title: ClassVar[str] = "Every v1 period is in v2"
    noun: ClassVar[str] = "periods of v1"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "state")

    def _listed(self, rows: pd.DataFrame) -> Flags:
        """All that v2 lacks; of what it has alone, where that is limited."""
        free = [PRESENT] if self.may_stand.get(EXTRA) is not None else [PRESENT, EXTRA]
        return ~rows["state"].isin(free)

    def _of(self, rows: pd.DataFrame) -> int:
        return int((rows["state"] != EXTRA).sum())

    def _observed(self, rows: pd.DataFrame, broken: int, of: int) -> str:
        alone = rows["state"] == EXTRA
        words = super()._observed(rows, int((self._broken(rows) & ~alone).sum()), of)
        return f"{words}; {alone.sum():,} periods in v2 alone" if alone.any() else words


class ExpectPeriodNotToBeDoubled(ParityRule):
    """v2 has no period of its own that ends within `limit` days of one that both have."""

    limit: float

    title: ClassVar[str] = "No period is in v2 twice"
    noun: ClassVar[str] = "periods in v2 alone"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "days_apart")
    varying: ClassVar[tuple[str, ...]] = ("days_apart",)
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "limit", "at_most")

    def _judged(self, rows: pd.DataFrame) -> pd.DataFrame:
        mine = super()._judged(rows)
        return mine[mine["state"] == EXTRA]

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["days_apart"] <= self.limit


class ExpectFiscalLabelsToBeV1s(ParityRule):
    """v2 gives most periods of a set the fiscal year, quarter and end that v1 gives them."""

    limit: float

    title: ClassVar[str] = "Fiscal labels and period ends are v1's"
    noun: ClassVar[str] = "sets of periods"
    shown: ClassVar[tuple[str, ...]] = (
        "ticker", "company_name", "cik", "timeframe", "periods", "labelled", "differing",
        "period_end", "v2_period_end", "v1_label", "v2_label",
    )  # fmt: skip
    varying: ClassVar[tuple[str, ...]] = (
        "labelled", "differing", "period_end", "v2_period_end", "v1_label", "v2_label",
    )  # fmt: skip
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "limit", "at_most")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["share_differing"] > self.limit


class ExpectFieldNotToBeLost(ParityRule):
    """No field that v1 fills is gone from v2 altogether.

    A field must have a value left, and one that at least half of the companies have in v1 may lose
    no more than the share `limit` of its values. The rule leaves out the fields in `left_out`,
    those of which v1 has fewer than `least_values` values, and those that only one company has:
    the finding `lost_in_v2` covers these.
    """

    limit: float
    least_values: int
    left_out: list[str]

    title: ClassVar[str] = "No field is lost"
    noun: ClassVar[str] = "fields that v1 fills"
    shown: ClassVar[tuple[str, ...]] = (
        "v1_field", "v2_field", "companies", "of_companies", "v1_values", "without_v2", "share_lost"
    )  # fmt: skip
    varying: ClassVar[tuple[str, ...]] = (
        "companies", "of_companies", "v1_values", "without_v2", "share_lost"
    )  # fmt: skip
    success_keys: ClassVar[tuple[str, ...]] = (
        "statement", "limit", "at_most", "least_values", "left_out"
    )  # fmt: skip

    def _broken(self, rows: pd.DataFrame) -> Flags:
        judged = (rows["companies"] > 1) & (rows["v1_values"] >= self.least_values)
        judged &= ~rows["v2_field"].isin(self.left_out)
        widely = rows["companies"] * 2 >= rows["of_companies"]
        return judged & ((widely & (rows["share_lost"] > self.limit)) | (rows["share_lost"] == 1))


class ExpectRecordKeyToBeUnique(ParityRule):
    """No record of a ticker is stored with two contents."""

    generation: str

    title: ClassVar[str] = "Record keys are unique"
    noun: ClassVar[str] = "records"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "fiscal_year", "fiscal_period", "filing_date")
    varying: ClassVar[tuple[str, ...]] = ("filing_date",)  # a later report that repeats it moves it
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "generation", "at_most")

    @classmethod
    def _detail(cls, kwargs: JsonObject) -> str:
        return str(kwargs["generation"])

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows.duplicated(["ticker", "record_key"], keep=False)


class ExpectV2FileToBeFlat(ParityRule):
    """v2's files have the documented columns and types."""

    title: ClassVar[str] = "v2's files are flat, with the documented columns and types"
    noun: ClassVar[str] = "files of v2"
    shown: ClassVar[tuple[str, ...]] = ("ticker", "company_name", "file", "fault")
    varying: ClassVar[tuple[str, ...]] = ("file",)  # it has the month of the filing date

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["fault"] != "as documented"


class ExpectV2IdentityToHold(ParityRule):
    """One accounting identity holds in every record of v2."""

    identity: str

    title: ClassVar[str] = "Accounting identities hold in v2"
    noun: ClassVar[str] = "records of v2 that have the lines"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "filing_date", "remainder")
    varying: ClassVar[tuple[str, ...]] = ("filing_date",)  # a later report that repeats it moves it
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "identity", "at_most")

    @classmethod
    def _detail(cls, kwargs: JsonObject) -> str:
        return str(kwargs["identity"])

    def _judged(self, rows: pd.DataFrame) -> pd.DataFrame:
        mine = super()._judged(rows)
        return mine[mine[self.identity].notna()].assign(remainder=lambda f: f[self.identity])

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["remainder"] != 0


class ExpectEveryV2RecordToHaveAFilingDate(ParityRule):
    """Every record says when it was filed."""

    title: ClassVar[str] = "Every v2 record has a filing date"
    noun: ClassVar[str] = "records of v2"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "v1_first_filing")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["filing_date"].isna()


class ExpectNoFilingDateInTheFuture(ParityRule):
    """No record claims to be filed later than the day of the run."""

    title: ClassVar[str] = "No filing date is in the future"
    noun: ClassVar[str] = "records of v2"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "filing_date", "days_after_run")
    varying: ClassVar[tuple[str, ...]] = ("days_after_run",)

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["days_after_run"] > 0


class ExpectNoFilingBeforeItsPeriodEnds(ParityRule):
    """No record claims to be filed before the end of the period that it is about."""

    title: ClassVar[str] = "No filing date is before its period's end"
    noun: ClassVar[str] = "records of v2"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "filing_date")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["filing_date"] < rows["period_end"]


class ExpectNoFilingBeforeV1s(ParityRule):
    """No record claims an older filing than v1's first one of the company, timeframe and period.

    One before the period's end breaks the rule on that alone.
    """

    title: ClassVar[str] = "No filing date is before v1's first filing"
    noun: ClassVar[str] = "records of v2"
    shown: ClassVar[tuple[str, ...]] = (*CASE, "filing_date", "v1_first_filing")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        is_old = rows["filing_date"] < rows["v1_first_filing"]
        return is_old & (rows["filing_date"] >= rows["period_end"])


class _Age(ParityRule):
    """An age in days, one per statement, is within a limit."""

    limit: float

    column: ClassVar[str]
    noun: ClassVar[str] = "statements"
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "limit", "at_most")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows[self.column] > self.limit

    def _observed(self, rows: pd.DataFrame, broken: int, of: int) -> str:
        days = rows[self.column].dropna()
        return f"{days.max():,.0f} days" if len(days) else "nothing to judge"


class ExpectV2ToBeFresh(_Age):
    """v2 has brought something new lately."""

    title: ClassVar[str] = "v2 has new records"
    column: ClassVar[str] = "days_since_v2_was_seen"
    shown: ClassVar[tuple[str, ...]] = ("statement", "v2_last_seen", "days_since_v2_was_seen")
    varying: ClassVar[tuple[str, ...]] = ("v2_last_seen", "days_since_v2_was_seen")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return super()._broken(rows) | rows[self.column].isna()  # no record at all is not fresh


class ExpectV2NotToLagBehindV1(_Age):
    """v2's newest filing is about as new as v1's."""

    title: ClassVar[str] = "v2 does not lag behind v1"
    column: ClassVar[str] = "days_v2_is_behind_v1"
    shown: ClassVar[tuple[str, ...]] = (
        "statement", "v1_last_filing", "v2_last_filing", "days_v2_is_behind_v1",
    )  # fmt: skip
    varying: ClassVar[tuple[str, ...]] = shown[1:]


class ExpectCountPerTickerToBePlausible(ParityRule):
    """No company has more periods than the calendar holds.

    A ticker may have two: `tickers=MU` answers with both companies that had the symbol.
    """

    slack: float

    title: ClassVar[str] = "The number of periods per ticker is plausible"
    noun: ClassVar[str] = "companies and timeframes"
    shown: ClassVar[tuple[str, ...]] = (
        "ticker", "company_name", "cik", "timeframe", "periods", "calendar_holds", "first_end",
        "last_end",
    )  # fmt: skip
    varying: ClassVar[tuple[str, ...]] = (
        "periods", "calendar_holds", "first_end", "last_end"
    )  # fmt: skip
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "slack", "at_most")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return rows["periods"] > rows["calendar_holds"] + self.slack
