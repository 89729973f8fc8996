"""The business rules, one expectation a class, each with a description for a reviewer.

A rule may be broken by `at_most` rows before it fails: budgets and their reasons stand in
tolerances.yaml. The logic is Great Expectations' own; the frames are made in frames.py.
"""

from __future__ import annotations

from typing import Any, ClassVar

import great_expectations.expectations as gxe

Metrics = dict[str, Any]


class AtMost:
    """Lets an expectation on rows succeed while no more than `at_most` of them break it."""

    at_most: int

    def _validate(
        self, metrics: Metrics, runtime_configuration: Any = None, execution_engine: Any = None
    ) -> Any:
        found = super()._validate(  # type: ignore[misc]
            metrics=metrics,
            runtime_configuration=runtime_configuration,
            execution_engine=execution_engine,
        )
        count = (found.get("result") or {}).get("unexpected_count") or 0
        found["success"] = count <= self.at_most
        return found


class ExpectEveryV1TickerToBeInV2(AtMost, gxe.ExpectColumnValuesToBeInSet):
    """Every ticker of v1 is in v2, or it is known what became of it."""

    title: ClassVar[str] = "Every v1 ticker is in v2 or accounted for"
    column: str = "state"
    at_most: int = 0
    description: str = (
        "Each ticker that v1 has must be in v2, under its own name or its company's present one "
        "(renamed), or be known as delisted: v2 serves listed names only, and silver keeps v1's "
        "records of the others. A ticker in state 'missing' would be lost to readers."
    )


class ExpectEveryV1PeriodToBeInV2(AtMost, gxe.ExpectColumnValuesToBeInSet):
    """Every period of v1 is in v2."""

    title: ClassVar[str] = "Every v1 period is in v2"
    column: str = "state"
    at_most: int = 0
    description: str = (
        "Each period that v1 reports for a company that v2 has must be in v2, by company, "
        "timeframe and period end; never by filing date. Periods of absent companies go with "
        "their ticker. 'extra' periods are in v2 alone and stand."
    )


class ExpectV2ValueToEqualV1(AtMost, gxe.ExpectColumnValuesToBeInSet):
    """Every value of one field is the same in both generations, or proven to be harmless."""

    title: ClassVar[str] = "Values are equal"
    column: str = "finding"
    at_most: int = 0


class ExpectFieldNotToBeLost(AtMost, gxe.ExpectColumnValuesToBeBetween):
    """No field that v1 fills is gone from v2 altogether."""

    title: ClassVar[str] = "No field is lost"
    column: str = "share_lost"
    at_most: int = 0
    description: str = (
        "A field that v1 fills for at least half of the companies must have values in v2 too: "
        "at most the given share of v1's values may be without one. Single values without one "
        "are listed as null_in_v2: v2 leaves some lines of banks and insurers out."
    )


class ExpectRecordKeyToBeUnique(AtMost, gxe.ExpectCompoundColumnsToBeUnique):
    """No record stands twice with different contents."""

    title: ClassVar[str] = "Record keys are unique"
    column_list: list[str] = ["ticker", "record_key"]  # noqa: RUF012 - a pydantic field
    at_most: int = 0
    description: str = (
        "Each record key (company, timeframe, period end and the fiscal label it claims) stands "
        "once in each ticker's files. The same row written twice by an older tool is read as one; "
        "two different contents under one key leave open which is true."
    )


class ExpectV2FileToBeFlat(AtMost, gxe.ExpectColumnValuesToBeInSet):
    """v2's files have the documented columns and types."""

    title: ClassVar[str] = "v2 is flat, with documented columns and types"
    column: str = "fault"
    at_most: int = 0
    description: str = (
        "Each file of v2 is flat: no nested `financials` column, no column that docs/schema.md "
        "does not list, none of another type."
    )


class ExpectV2IdentityToHold(AtMost, gxe.ExpectColumnValuesToBeBetween):
    """One accounting identity holds in every record of v2."""

    title: ClassVar[str] = "Accounting identities hold in v2"
    min_value: float = 0.0
    max_value: float = 0.0
    at_most: int = 0


class ExpectNoFilingDateInTheFuture(AtMost, gxe.ExpectColumnValuesToBeBetween):
    """No record claims to be filed later than today."""

    title: ClassVar[str] = "No filing date lies in the future"
    column: str = "filing_date"
    at_most: int = 0
    description: str = (
        "A filing date after the day of this run (in New York) cannot be true, and a backtest "
        "that uses it would look ahead."
    )


class ExpectV2ToBeFresh(gxe.ExpectColumnMaxToBeBetween):
    """v2 has brought something new lately."""

    title: ClassVar[str] = "v2 is not older than the freshness limit"
    column: str = "observed_at"


class ExpectV2NotToLagBehindV1(gxe.ExpectColumnMaxToBeBetween):
    """v2's newest filing is about as new as v1's."""

    title: ClassVar[str] = "v2 does not lag behind v1"
    column: str = "filing_date"


class ExpectCountPerTickerToBePlausible(AtMost, gxe.ExpectColumnPairValuesAToBeGreaterThanB):
    """No ticker has more periods than the calendar holds."""

    title: ClassVar[str] = "Counts per ticker are plausible"
    column_A: str = "most_possible"
    column_B: str = "periods"
    or_equal: bool = True
    at_most: int = 0
    description: str = (
        "Between a company's first and last period the calendar holds one quarter every three "
        "months and one year every twelve; more periods than that are the same ones told twice, "
        "under other dates."
    )
