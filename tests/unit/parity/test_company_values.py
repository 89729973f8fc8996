"""The values of a company's page: what the run found, and what is equal beside it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd

from expectations.companies import write_pages
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.company_values import company_values
from polygon_fundamentals.parity.run import Question
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.parity.witness_facts import INSTANT, USD, CompanyFacts, Fact, Period
from polygon_fundamentals.parity.witness_run import open_companies, settle
from polygon_fundamentals.statements import Generation, Statement
from tests.filled import comparison
from tests.unit.silver.feeding import put, v1_balance, v2_balance

TOLERANCES = load_tolerances(Path(__file__).parents[3] / "expectations" / "tolerances.yaml")
QUESTION = Question(TOLERANCES, (), {}, date(2026, 10, 1))
CIK, ENDS = "0000000001", ("2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31")


def test_the_page_of_a_renamed_company_says_what_the_filings_prove(
    lake: Lake, tmp_path: Path
) -> None:
    """v1 has it as OLD and as OLDB, v2 as NEW; the filings prove one of two restatements."""
    facts = []
    for number, end in enumerate(ENDS):
        day = date.fromisoformat(end)
        filed, later = (day + pd.Timedelta(days=n) for n in (40, 400))
        number_of = f"{CIK}-23-{number:06}"
        address = {"end_date": end, "filing_date": f"{filed}", "source_filing_url": number_of}
        label = {"fiscal_year": "2023", "fiscal_period": f"Q{number + 1}"}
        v1 = v1_balance(tickers=["OLD", "OLDB"], **address, **label)
        put(lake, Generation.V1, v1, "2026-06-01T12:00")
        assets = {2: 130.0, 3: 140.0}.get(number, 100.0)
        label = {"fiscal_year": 2023, "fiscal_quarter": number + 1}
        v2 = v2_balance(f"{later}", assets, tickers=["NEW"], period_end=end, **label)
        put(lake, Generation.V2, v2, "2026-06-01T12:00")
        said = ((100.0, number_of, filed), (130.0 if number == 2 else 100.0, f"{CIK}-24-1", later))
        period = Period(USD, INSTANT, day)
        facts += [(period, Fact("us-gaap:Assets", v, a, "10-Q", f)) for v, a, f in said]
    findings = [comparison(lake, Statement.BALANCE_SHEETS, QUESTION).findings]
    companies = open_companies(findings)
    assert companies == {CIK: ["NEW", "OLD", "OLDB"]}
    settle(lake, findings, companies, lambda cik: CompanyFacts(cik, facts), {})

    [(tickers, values)] = company_values(lake, ["OLD", "OLDB"], findings)
    assets = values[values["v2_field"] == "total_assets"].sort_values("period_end")
    kinds = ["matched", "matched", "restated_proven", "not_restated"]
    assert (sorted(tickers), assets["kind"].tolist()) == (["OLD", "OLDB"], kinds)
    review = findings[0].frame("values")
    expected = review.set_index(["v2_field", "period_end"])["detail"]
    shown = values[values["kind"] != "matched"].set_index(["v2_field", "period_end"])["detail"]
    pd.testing.assert_series_equal(
        shown.sort_index(), expected.sort_index(), check_index_type=False
    )
    write_pages(tmp_path / "run", tickers, values, {})
    pages = [(tmp_path / "run" / f"{t}.html").read_text() for t in ("OLD", "OLDB")]
    assert all("restated_proven" in page and "total_assets" in page for page in pages)
