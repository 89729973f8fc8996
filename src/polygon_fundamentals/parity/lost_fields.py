"""How many of v1's values of each field v2 lacks, in all companies together."""

from __future__ import annotations

import pandas as pd

from polygon_fundamentals.field_map import entries
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.kinds import COMPARED_KINDS, WITHOUT_V2_KINDS
from polygon_fundamentals.parity.lost_lines import uncertain_fields
from polygon_fundamentals.parity.totals import PRESENT
from polygon_fundamentals.statements import Statement

_COLUMNS = (
    "v1_field", "v2_field", "companies", "of_companies", "v1_values", "without_v2", "share_lost"
)  # fmt: skip


def left_out_of_templates(statement: Statement) -> list[str]:
    """Return the v2 fields that may be gone in a market of banks, however healthy v2 is."""
    own = ["interest_expense"] if statement is Statement.INCOME_STATEMENTS else []
    return sorted({*uncertain_fields(statement), *own})


def lost_fields(findings: StatementFindings) -> pd.DataFrame:
    """Return how many of v1's values of each field v2 lacks: one row for each that v1 fills.

    Columns: v1_field, v2_field, v1_values, without_v2, companies (that have the field in v1),
    of_companies (that were compared), share_lost.
    """
    lines = entries(findings.statement)
    tallies = findings.frame("tallies")
    without = tallies["kind"].isin([k.value for k in WITHOUT_V2_KINDS])
    of_v1 = tallies[without | tallies["kind"].isin([k.value for k in COMPARED_KINDS])]
    rows = (
        of_v1.assign(without_v2=of_v1["count"].where(without, 0))
        .groupby("line", as_index=False)
        .agg(
            v1_values=("count", "sum"),
            without_v2=("without_v2", "sum"),
            companies=("ticker", "nunique"),
        )
    )
    seen = findings.frame("seen", ["ticker", "state"])
    rows["of_companies"] = seen.loc[seen["state"] == PRESENT, "ticker"].nunique()
    rows["share_lost"] = rows["without_v2"] / rows["v1_values"]
    for name in ("v1", "v2"):
        rows[f"{name}_field"] = rows["line"].map(dict(enumerate(getattr(e, name) for e in lines)))
    return rows[list(_COLUMNS)]
