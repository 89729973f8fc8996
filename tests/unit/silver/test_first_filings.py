"""v2's filing dates beside the first filing of the period that v1 or the SEC has."""

from __future__ import annotations

from typing import Any

import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.original_dates import EXACT, SURE
from polygon_fundamentals.statements import Generation
from tests.unit.silver.feeding import keep_dates, put, v1_balance, v2_balance

V1, V2 = Generation.V1, Generation.V2


# A record of v2, when it was observed, and from when its values could be known.
FILINGS: list[tuple[dict[str, Any], str, str]] = [
    # The vendor fills the date with the end of the period, or a filing before it is another's.
    ({"filed": "2024-03-31"}, "2026-10-02T12:00", "2024-05-10"),
    ({"filed": "2024-04-05"}, "2026-10-02T12:00", "2024-05-10"),
    # Of a fourth quarter v1 has no filing, but of the year that ends with it.
    ({"filed": "2024-04-05", "timeframe": "annual"}, "2026-10-02T12:00", "2024-05-10"),
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
