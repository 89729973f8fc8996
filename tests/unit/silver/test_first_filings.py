"""v2's filing dates beside the first filing of the period that v1 or the SEC has."""

from __future__ import annotations

from typing import Any

import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.original_dates import EXACT, SURE
from polygon_fundamentals.statements import Generation, Statement
from tests.unit.silver.feeding import keep_dates, put, v1_balance, v2_balance

V1, V2 = Generation.V1, Generation.V2


# A record of v2, when it was observed, and from when its values could be known.
FILINGS: list[tuple[dict[str, Any], str, str]] = [
    # The vendor fills the date with the end of the period, or a filing before it is another's.
    ({"filed": "2024-03-31"}, "2026-10-02T12:00", "2024-05-10"),
    ({"filed": "2024-04-05"}, "2026-10-02T12:00", "2024-05-10"),
    # Of a fourth quarter v1 has no filing, but of the year that ends with it.
    ({"filed": "2024-04-05", "timeframe": "annual"}, "2026-10-02T12:00", "2024-05-10"),
    # v1 and the SEC's list date the period two days otherwise.
    ({"filed": "2024-04-05", "period_end": "2024-03-29"}, "2026-10-02T12:00", "2024-05-10"),
    ({"filed": "2024-05-10"}, "2026-10-02T12:00", "2024-05-10"),
    ({"filed": "2025-05-09"}, "2026-10-02T12:00", "2025-05-09"),
    # It was there before v1's first filing: v1 has only an amendment.
    ({"filed": "2024-04-25"}, "2024-04-26T12:00", "2024-04-25"),
    # Another period of which nobody has a first filing.
    ({"filed": "2024-07-01", "period_end": "2024-06-30"}, "2026-10-02T12:00", "2024-07-01"),
]


def known(lake: Lake) -> list[tuple[str, str, float]]:
    """Return of v2's rows ticker, the day from which the values could be known, and assets."""
    rows = silver.history_table(lake, V2).to_pylist()
    of_v2 = [row for row in rows if row["generation"] == "v2"]
    names = ("ticker", "values_known_from", "bs_total_assets")
    return sorted({(row[names[0]], str(row[names[1]]), row[names[2]]) for row in of_v2})


@pytest.mark.parametrize("witness", ["v1", EXACT])
def test_no_version_of_v2_is_known_before_the_first_filing(lake: Lake, witness: str) -> None:
    companies = [{"cik": f"{n + 1:010d}", "tickers": [f"T{n}"]} for n in range(len(FILINGS))]
    if witness == EXACT:
        keep_dates(lake, {"2024-03-31": "2024-05-10"}, EXACT, [str(c["cik"]) for c in companies])
    for company, (v2, observed, _) in zip(companies, FILINGS, strict=True):
        if witness == "v1":
            put(lake, V1, v1_balance(**company), "2026-10-01T12:00")
        put(lake, V2, v2_balance(assets=130.0, **company, **v2), observed)
    assert known(lake) == [(f"T{n}", day, 130.0) for n, (_, _, day) in enumerate(FILINGS)]


def test_a_date_that_is_estimated_moves_no_filing(lake: Lake) -> None:
    keep_dates(lake, {"2024-03-31": "2024-05-10"}, SURE)
    put(lake, V2, v2_balance("2024-05-07", 130.0), "2026-10-02T12:00")
    assert known(lake) == [("ABC", "2024-05-07", 130.0)]


def test_what_v2_sends_without_a_filing_date_is_known_when_it_is_seen(lake: Lake) -> None:
    """Its values are those of its latest filing, not of the one that another statement has."""
    put(lake, V1, v1_balance(), "2026-10-01T12:00")
    flow = v2_balance("2024-05-10", 0, net_cash_from_operating_activities=7.0, total_assets=None)
    put(lake, V2, flow, "2026-10-02T12:00", statement=Statement.CASH_FLOW)
    put(lake, V2, v2_balance(None, 130.0), "2026-10-02T12:00")
    columns = ["known_from", "values_known_from", "knowledge", "bs_total_assets"]
    rows = silver.history_table(lake, V2).select(columns).to_pylist()
    assert [tuple(map(str, row.values())) for row in rows] == [
        ("2024-05-10", "2024-05-10", "filed", "100.0"),
        ("2026-10-02", "2026-10-02", "observed", "130.0"),
    ]


def test_of_values_known_on_one_day_the_less_certain_knowledge_counts(lake: Lake) -> None:
    income = v2_balance("2024-05-10", 0, revenue=50.0, total_assets=None)
    put(lake, V2, income, "2024-05-11T12:00", statement=Statement.INCOME_STATEMENTS)
    put(lake, V2, v2_balance(None, 130.0), "2024-05-10T12:00")
    [row] = silver.history_table(lake, V2).to_pylist()
    assert (str(row["values_known_from"]), row["knowledge"]) == ("2024-05-10", "observed")
