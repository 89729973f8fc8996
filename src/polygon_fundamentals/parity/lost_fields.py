"""How many of v1's values v2 lacks: of each field in all companies, of some in each company."""

from __future__ import annotations

import pandas as pd

from polygon_fundamentals.field_map import Confidence, entries, primary_pairs
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.kinds import COMPARED_KINDS, Kind
from polygon_fundamentals.parity.totals import PRESENT
from polygon_fundamentals.statements import Statement

# Every company has these in every record; the readers' check that ships asks for them as well.
OF_EVERY_COMPANY = {
    Statement.BALANCE_SHEETS: ("total_assets", "total_liabilities", "total_equity"),
    Statement.CASH_FLOW: ("net_cash_from_operating_activities",),
    Statement.INCOME_STATEMENTS: ("consolidated_net_income_loss",),
}
_COLUMNS = (
    "ticker", "v1_field", "v2_field", "companies", "of_companies", "v1_values", "without_v2",
    "share_lost",
)  # fmt: skip


def left_out_of_templates(statement: Statement) -> list[str]:
    """Return the v2 fields that some companies' templates lack, however healthy v2 is.

    Those of which the map is not sure, such as a bank's interest income, which v2 has within
    revenue, and interest expense, for which v2 has no key at banks.
    """
    unsure = (e.v2 for e in primary_pairs(statement) if e.confidence is Confidence.LOW)
    own = ["interest_expense"] if statement is Statement.INCOME_STATEMENTS else []
    return sorted({name for name in unsure if name} | {*own})


def lost_fields(findings: StatementFindings) -> pd.DataFrame:
    """Return how many of v1's values of each field v2 lacks.

    One row for each field that v1 fills, its `ticker` null, and one for each company and field of
    `OF_EVERY_COMPANY`. Columns: ticker (the company's first), v1_field, v2_field, v1_values,
    without_v2, companies (that have the field in v1), of_companies (that were compared),
    share_lost.
    """
    lines = entries(findings.statement)
    tallies = findings.frame("tallies")
    of_v1 = tallies[tallies["kind"].isin([k.value for k in (*COMPARED_KINDS, Kind.NULL_IN_V2)])]
    lost = of_v1["count"].where(of_v1["kind"] == Kind.NULL_IN_V2.value, 0)
    each = (
        of_v1.assign(without_v2=lost)
        .groupby(["line", "ticker"], observed=True, as_index=False)
        .agg(v1_values=("count", "sum"), without_v2=("without_v2", "sum"))
    )
    every = each.groupby("line", as_index=False).agg(
        v1_values=("v1_values", "sum"),
        without_v2=("without_v2", "sum"),
        companies=("ticker", "size"),
    )
    seen = findings.frame("seen", ["ticker", "state"])
    compared = seen.loc[seen["state"] == PRESENT, "ticker"].nunique()
    wanted = [n for n, e in enumerate(lines) if e.v2 in OF_EVERY_COMPANY[findings.statement]]
    single = each[each["line"].isin(wanted)]
    rows = pd.concat(
        [
            every.assign(ticker=None, of_companies=compared),
            single.assign(companies=1, of_companies=1),
        ],
        ignore_index=True,
    )
    rows["ticker"] = rows["ticker"].astype("string")  # a column of texts, even without any
    rows["share_lost"] = rows["without_v2"] / rows["v1_values"]
    for name in ("v1", "v2"):
        rows[f"{name}_field"] = rows["line"].map(dict(enumerate(getattr(e, name) for e in lines)))
    return rows[list(_COLUMNS)]
