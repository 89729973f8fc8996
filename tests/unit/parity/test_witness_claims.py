"""What the witness is asked about: the records that parity compares."""

from __future__ import annotations

import pyarrow as pa

from polygon_fundamentals.parity.witness_claims import claims_of
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

CF, CASH = Statement.CASH_FLOW, "net_cash_from_operating_activities"


def test_an_empty_record_beside_a_filled_one_takes_no_claim_away() -> None:
    """v2 has the period under two fiscal labels, and the empty record has the later filing."""
    end = "2025-03-31"
    v1 = v1_table(CF, [{"end_date": end, "net_cash_flow_from_operating_activities": 5e6}])
    v1 = v1.append_column("source_filing_url", pa.array(["https://sec.gov/0000000001-25-000001"]))
    label = {"period_end": end, "fiscal_year": 2025, "fiscal_quarter": 1}
    filled = label | {"filing_date": "2025-05-01", CASH: 7e6}
    empty = label | {"filing_date": "2025-08-01", "fiscal_quarter": 2}
    claims = claims_of(v1, v2_table(CF, [filled, empty]), CF, {})
    [claim] = claims["0000000001", CASH, "quarterly"].values()
    assert (claim.v1, claim.v2) == (5e6, 7e6)
