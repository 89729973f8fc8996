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


def known(lake: Lake) -> list[tuple[str, float]]:
    """Return of v2's rows the day from which the values could be known, and total assets."""
    rows = silver.history_table(lake, V2).to_pylist()
    of_v2 = [row for row in rows if row["generation"] == "v2"]
    return sorted({(str(row["values_known_from"]), row["bs_total_assets"]) for row in of_v2})


@pytest.mark.parametrize(
    ("v2", "observed", "day"),
    [
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
    ],
)
@pytest.mark.parametrize("witness", ["v1", EXACT])
def test_no_version_of_v2_is_known_before_the_first_filing(
    lake: Lake, v2: dict[str, Any], observed: str, day: str, witness: str
) -> None:
    if witness == EXACT:
        keep_dates(lake, {"2024-03-31": "2024-05-10"}, EXACT)
    else:
        put(lake, V1, v1_balance(), "2026-10-01T12:00")
    put(lake, V2, v2_balance(assets=130.0, **v2), observed)
    assert known(lake) == [(day, 130.0)]


def test_a_date_that_is_estimated_moves_no_filing(lake: Lake) -> None:
    keep_dates(lake, {"2024-03-31": "2024-05-10"}, SURE)
    put(lake, V2, v2_balance("2024-05-07", 130.0), "2026-10-02T12:00")
    assert known(lake) == [("2024-05-07", 130.0)]
