"""What can be said of a value that v1 and v2 both should have."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The finding on one value, or on one period or ticker.

    `explain.py` tries the explanations one after the other and keeps the first that the figures
    allow; `RESTATED_PROVEN` to `NOT_RESTATED` come from the filings themselves, where a witness was
    asked (`witnesses.py`). The order here is that of reports.
    """

    MATCHED = "matched"
    ROUNDING = "rounding"
    SIGN = "sign"
    SPLIT_ADJUSTED = "split_adjusted"
    SCALE = "scale"
    ROUNDED_BY_FILER = "rounded_by_filer"
    BANK_NET_OF_INTEREST = "bank_net_of_interest"
    V1_BREAKS_IDENTITY = "v1_breaks_identity"
    LINE_DEFINITION = "line_definition"
    DERIVED_QUARTER = "derived_quarter"
    RESTATED = "restated"
    RESTATED_PROVEN = "restated_proven"
    V1_WRONG = "v1_wrong"
    V2_WRONG = "v2_wrong"
    NOT_RESTATED = "not_restated"
    UNEXPLAINED = "unexplained"
    ACCEPTED = "accepted"

    ABSENT_ZERO = "absent_zero"
    LOST_IN_V2 = "lost_in_v2"
    NULL_IN_V2 = "null_in_v2"
    NULL_IN_V1 = "null_in_v1"
    NOT_COMPARABLE = "not_comparable"

    DELISTED = "delisted"
    RENAMED = "renamed"
    MISSING = "missing"
    EXTRA = "extra"


# Findings on a value that both generations have: those up to `ACCEPTED`.
COMPARED_KINDS = tuple(Kind)[: tuple(Kind).index(Kind.ACCEPTED) + 1]
DIFFERENCE_KINDS = COMPARED_KINDS[1:]

# Findings on a value that one of the two lacks, or that cannot be compared: counted apart.
APART_KINDS = (
    Kind.ABSENT_ZERO,
    Kind.LOST_IN_V2,
    Kind.NULL_IN_V2,
    Kind.NULL_IN_V1,
    Kind.NOT_COMPARABLE,
)
# Of those, the ones on a value that v1 has and v2 lacks.
WITHOUT_V2_KINDS = (Kind.LOST_IN_V2, Kind.NULL_IN_V2)

# What may have become of a ticker that v2 lacks, the worst first.
ABSENT_KINDS = (Kind.MISSING, Kind.DELISTED, Kind.RENAMED)

# Findings on periods and tickers.
COVERAGE_KINDS = (*ABSENT_KINDS, Kind.EXTRA)

BUDGETED_KINDS = (*DIFFERENCE_KINDS, *APART_KINDS, *COVERAGE_KINDS)
