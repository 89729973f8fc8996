"""What the filings prove: recorded cases with the finding that each must give."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import pandas as pd
import pytest

from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.witness_facts import (
    INSTANT,
    QUARTER,
    SHARES,
    USD,
    USD_PER_SHARE,
    YEAR,
    CompanyFacts,
    Fact,
    Period,
    duration_of,
)
from polygon_fundamentals.parity.witness_run import _proofs, link
from polygon_fundamentals.parity.witnesses import (
    Claim,
    SignedConcept,
    TrackRecord,
    TrackRecords,
    learn,
    prove,
)
from sandbox.companies import build_roster
from tests.unit.parity.planted_faults import DATA, Case, company, derived_quarters, histories, lines

_QTRS = {0: INSTANT, 1: QUARTER, 2: "half", 3: "nine", 4: YEAR}
LONG_AGO = {date(1990, 3, day) for day in (1, 2, 3)}


@cache
def facts_of(ticker: str) -> CompanyFacts:
    return company(ticker)


@cache
def cases_of(ticker: str) -> dict[tuple[str, str], list[Case]]:
    return histories(facts_of(ticker))


def claim_of(ticker: str, field: str, duration: str, end: str) -> tuple[Claim, TrackRecords]:
    """Return what v1 and v2 say of a period as first and last filed, and what was learned."""
    some = [case.claim for case in cases_of(ticker)[field, duration]]
    records = learn(facts_of(ticker), some)
    return next(c for c in some if c.period.end.isoformat() == end), records


def extract(name: str) -> CompanyFacts:
    """Return the facts of one of the small extracts."""
    document = json.loads((DATA / "cases" / f"{name}.json").read_bytes())
    facts = []
    for concept, entry in document["facts"]["us-gaap"].items():
        for unit, rows in entry["units"].items():
            for row in rows:
                start = date.fromisoformat(row["start"]) if "start" in row else None
                end = date.fromisoformat(row["end"])
                duration = _QTRS[row["qtrs"]] if "qtrs" in row else duration_of(start, end)
                unit_ = USD_PER_SHARE if concept.startswith("EarningsPerShare") else unit
                fact = Fact(concept, row["val"], row["accn"], row["form"],
                            date.fromisoformat(row["filed"]), start)  # fmt: skip
                facts.append((Period(unit_, str(duration), end), fact))
    return CompanyFacts(f"{document['cik']:010d}", facts)


def learned(concept: str, sign: float = 1.0) -> TrackRecords:
    """Return records as if the concept had been the field's in other periods, on both sides."""
    return {SignedConcept(concept, sign): TrackRecord(set(LONG_AGO), set(LONG_AGO), set())}


RECORDED = [
    # 10-K of October 2009, 10-K/A of January 2010: iPhone revenue is no longer spread out.
    ("AAPL", "revenue", YEAR, "2009-09-26", Kind.RESTATED_PROVEN, "10-K/A"),
    ("AAPL", "revenue", QUARTER, "2009-06-27", Kind.RESTATED_PROVEN, "10-Q"),
    ("AAPL", "total_current_liabilities", INSTANT, "2018-09-29", Kind.RESTATED_PROVEN, "10-Q"),
    ("AAPL", "diluted_earnings_per_share", YEAR, "2013-09-28", Kind.SPLIT_ADJUSTED, "10-K"),
    ("AAPL", "diluted_shares_outstanding", YEAR, "2019-09-28", Kind.SPLIT_ADJUSTED, "10-K"),
    ("NVDA", "basic_earnings_per_share", YEAR, "2024-01-28", Kind.SPLIT_ADJUSTED, "10-K"),
    ("NVDA", "basic_shares_outstanding", QUARTER, "2024-04-28", Kind.SPLIT_ADJUSTED, "10-Q"),
    # ASU 2016-09: 0.36 becomes 0.39.
    ("NVDA", "basic_earnings_per_share", QUARTER, "2016-05-01", Kind.RESTATED_PROVEN, "10-Q"),
    ("NVDA", "net_income_loss_attributable_common_shareholders", QUARTER, "2016-05-01",
     Kind.RESTATED_PROVEN, "10-Q"),
    ("NVDA", "inventories", INSTANT, "2015-01-25", Kind.ROUNDED_BY_FILER, "10-Q"),
    ("MRVL", "cost_of_revenue", YEAR, "2022-01-29", Kind.ROUNDED_BY_FILER, "10-K"),
    ("NVDA", "diluted_shares_outstanding", QUARTER, "2010-10-31", Kind.SCALE, "10-Q"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ticker", "field", "duration", "end", "kind", "form"), RECORDED, ids=lambda v: str(v)
)
def test_recorded_changes_are_what_their_filings_say(
    ticker: str, field: str, duration: str, end: str, kind: Kind, form: str
) -> None:
    claim, records = claim_of(ticker, field, duration, end)
    proof = prove(facts_of(ticker), claim, records)
    assert proof is not None
    assert proof.kind == kind
    assert proof.v1_fact is not None
    assert proof.v2_fact is not None
    assert (proof.v1_fact.value, proof.v2_fact.value) == (claim.v1, claim.v2)
    assert proof.v1_fact.accession == claim.v1_accession
    assert proof.v2_fact.form == form
    assert proof.v1_fact.accession in proof.detail
    assert proof.v2_fact.accession in proof.detail


def test_a_date_of_v2_that_no_filing_has_is_proven_on_v1s() -> None:
    facts, some = facts_of("AAPL"), cases_of("AAPL")["total_current_liabilities", INSTANT]
    for days in (0, 2):
        line = {
            pd.Timestamp(period.end): replace(
                claim, period=period._replace(end=period.end + timedelta(days))
            )
            for claim, period in ((case.claim, case.claim.period) for case in some)
        }
        lines = {(facts.cik, "total_current_liabilities", "quarterly"): line}
        proofs = _proofs(lines, {facts.cik: facts})
        kinds = {key.period_end: proof.kind for key, (_, proof) in proofs}
        assert kinds[pd.Timestamp(2018, 9, 29)] is Kind.RESTATED_PROVEN


def test_a_value_that_later_filings_took_back_proves_nothing() -> None:
    # The 10-K of 2018 has quarters of 2017 under half-year dates, gone in the next 10-Q.
    claim, records = claim_of("NVDA", "cost_of_revenue", QUARTER, "2015-10-25")
    back = replace(claim, v2=572e6, v2_filed=date(2016, 11, 22))
    assert claim.v1 == 571e6
    assert prove(facts_of("NVDA"), back, records) is None
    # As long as nothing had taken it back it was the last one.
    then = prove(facts_of("NVDA"), replace(back, v2_filed=date(2016, 3, 17)), records)
    assert then is not None
    assert (then.kind, then.v2_fact and then.v2_fact.form) == (Kind.RESTATED_PROVEN, "10-K")


def test_a_recast_by_an_8_k_is_a_restatement() -> None:
    facts = extract("GOOGL_2016")
    for concept, v1, v2 in (
        ("NetCashProvidedByUsedInOperatingActivities", 26_024e6, 26_572e6),
        ("NetCashProvidedByUsedInFinancingActivities", -3_677e6, -4_225e6),
    ):
        own = next(f for f in facts.filed(Period(USD, YEAR, date(2015, 12, 31)))[concept])
        claim = Claim(Period(USD, YEAR, date(2015, 12, 31)), v1, v2, own.accession,
                      date(2017, 2, 3))  # fmt: skip
        proof = prove(facts, claim, learned(concept))
        assert proof is not None
        assert (proof.kind, proof.v2_fact and proof.v2_fact.form) == (Kind.RESTATED_PROVEN, "8-K")


@pytest.mark.parametrize("v2", [14_527e6, 18_000e6])
def test_two_values_of_one_day_have_no_order(v2: float) -> None:
    facts = extract("GE_2010")
    period = Period(USD, INSTANT, date(2009, 12, 31))
    own = facts.filed(period)["AccruedLiabilitiesCurrent"][0]
    claim = Claim(period, 13_386e6, v2, own.accession, date(2010, 5, 7))
    assert prove(facts, claim, learned("AccruedLiabilitiesCurrent")) is None


def test_share_counts_rounded_to_the_thousand() -> None:
    facts = extract("SNOW_2022")
    concept = "WeightedAverageNumberOfDilutedSharesOutstanding"
    period = Period(SHARES, YEAR, date(2022, 1, 31))
    own = facts.filed(period)[concept][0]
    claim = Claim(period, 300_273_227, 300_273_000, own.accession, date(2023, 3, 29))
    proof = prove(facts, claim, learned(concept))
    assert proof is not None
    assert proof.kind == Kind.ROUNDED_BY_FILER


def test_an_amendment_that_repeats_everything_restates_nothing() -> None:
    facts = extract("TGT_2010")
    period = Period(USD, YEAR, date(2010, 1, 31))
    own = facts.filed(period)["Revenues"][0]
    claim = Claim(period, 65_357e6, 65_786e6, own.accession, date(2010, 3, 18))
    records = learned("Revenues")
    proof = prove(facts, claim, records)
    assert proof is not None
    assert proof.kind == Kind.V2_WRONG
    # v2 is accused only where it once followed the concept.
    records[SignedConcept("Revenues", 1.0)].agree_all.clear()
    proof = prove(facts, claim, records)
    assert proof is not None
    assert proof.kind == Kind.NOT_RESTATED
    # Without any fact of the filing that v2 names, the absence of one says nothing.
    assert prove(facts, replace(claim, v2_filed=date(2010, 3, 19)), records) is None


def test_the_earliest_rows_of_v2_are_comparatives() -> None:
    filed = extract("WMT_2009").filed(Period(USD, QUARTER, date(2009, 4, 30)))
    assert {f.filed for facts in filed.values() for f in facts} == {date(2010, 6, 4)}
    assert filed["ProfitLoss"][0].value == 3_139e6


def test_a_bank_whose_generations_define_revenue_otherwise_is_accused_on_neither_side() -> None:
    facts = facts_of("JPM")
    concept = "us-gaap:RevenuesNetOfInterestExpense"
    period = Period(USD, QUARTER, date(2025, 6, 30))
    own = facts.filed(period)[concept][0]
    claim = Claim(period, 44_912e6, 69_944e6, own.accession, own.filed)
    # In other periods v1 had this concept, v2 never.
    records: TrackRecords = {SignedConcept(concept, 1.0): TrackRecord(set(LONG_AGO), set(), set())}
    proof = prove(facts, claim, records)
    assert proof is None or proof.kind not in (Kind.V1_WRONG, Kind.V2_WRONG, Kind.RESTATED_PROVEN)
    assert prove(facts, claim, {}) is None


def recorded(ticker: str) -> list[dict[str, object]]:
    rows = json.loads((DATA / "v1_recorded.json").read_bytes())
    return [row for row in rows if row["ticker"] == ticker]


def test_the_nine_differences_of_five_recorded_years_are_proven() -> None:
    """v1 as the API answered; v2 as the last filing has it."""
    facts = facts_of("AAPL")
    said: dict[tuple[str, str], Kind] = {}
    rows = recorded("AAPL")
    for line in lines():
        claims = []
        for row in rows:
            end = date.fromisoformat(str(row["end_date"]))
            period = Period(line.unit, INSTANT if INSTANT in line.durations else YEAR, end)
            value = row["values"].get(line.v1_field)  # type: ignore[attr-defined]
            filed = facts.filed(period)
            concept = next((c for c in line.concepts if c in filed), None)
            if value is None or concept is None:
                continue
            last = filed[concept][-1]
            split = 4.0 if end.year < 2020 else None
            claims.append(
                Claim(period, value, last.value, str(row["accession"]), last.filed, split=split)
            )
        records = learn(facts, claims)
        for claim in claims:
            proof = prove(facts, claim, records) if claim.v1 != claim.v2 else None
            if proof is not None:
                said[line.v2_field, claim.period.end.isoformat()] = proof.kind
    assert sorted(said.values()) == [Kind.RESTATED_PROVEN, *[Kind.SPLIT_ADJUSTED] * 8]
    assert said["total_current_liabilities", "2018-09-29"] == Kind.RESTATED_PROVEN


def test_a_recorded_year_stands_whole_in_the_filing_that_v1_names() -> None:
    facts, row = facts_of("AAPL"), recorded("AAPL")[0]
    end = date.fromisoformat(str(row["end_date"]))
    there, absent = [], []
    for line in lines():
        value = row["values"].get(line.v1_field)  # type: ignore[attr-defined]
        period = Period(line.unit, INSTANT if INSTANT in line.durations else YEAR, end)
        if value is not None:
            own = facts.own(str(row["accession"]), period)
            (there if any(f.is_value(value) for f in own) else absent).append(line.v1_field)
    assert len(there) > 20
    assert absent == []


def test_a_fourth_quarter_that_v1_derived_wrongly_is_v1s_fault() -> None:
    row = recorded("NVDA")[0]
    end = str(row["end_date"])
    facts = facts_of("NVDA")
    v1 = row["values"]["income_loss_from_continuing_operations_before_tax"]  # type: ignore[index]
    some = [case.claim for case in cases_of("NVDA")["income_before_income_taxes", QUARTER]]
    others = [c for c in some if c.period.end.isoformat() != end]
    period = Period(USD, QUARTER, date.fromisoformat(end))
    # 3,105 million is the quarter's revenue; the year less nine months is 1,016 million.
    claim = Claim(period, v1, 1_016e6, None, date(2021, 2, 26), unfiled=True)
    proof = prove(facts, claim, learn(facts, [*others, claim]))
    assert proof is not None
    assert proof.kind == Kind.V1_WRONG
    assert "1,016,000,000" in proof.detail


@pytest.mark.parametrize(
    ("field", "unit", "duration", "v1", "v2"),
    [
        ("diluted_shares_outstanding", SHARES, QUARTER, 1e6, 621e6),
        ("diluted_earnings_per_share", USD_PER_SHARE, QUARTER, 1.53, 0.38),
        ("intangible_assets_net", USD, INSTANT, 49e6, 667e6),
    ],
)
def test_coincidences_of_a_derived_quarter_prove_no_change(
    field: str, unit: str, duration: str, v1: float, v2: float
) -> None:
    facts = facts_of("NVDA")
    some = [case.claim for case in cases_of("NVDA")[field, duration]]
    claim = Claim(Period(unit, duration, date(2020, 1, 26)), v1, v2, None, date(2021, 2, 26),
                  unfiled=True)  # fmt: skip
    proof = prove(facts, claim, learn(facts, [*some, claim]))
    if duration == QUARTER:
        assert proof is None  # never a derived figure per share, or share count
    assert proof is None or proof.kind in (Kind.V1_WRONG, Kind.V2_WRONG)


def test_a_quarter_of_cash_flow_is_nine_months_less_six() -> None:
    period = Period(USD, QUARTER, date(2025, 6, 28))
    history = facts_of("AAPL").history(period)
    concept = "us-gaap:NetCashProvidedByUsedInOperatingActivities"
    assert concept not in facts_of("AAPL").filed(period)
    assert [(f.value, f.derived) for f in history[concept]] == [(27_867e6, True)]


def test_a_zero_is_never_matched() -> None:
    claim, records = claim_of("AAPL", "revenue", YEAR, "2009-09-26")
    facts = facts_of("AAPL")
    for wrong in (replace(claim, v1=0.0), replace(claim, v2=0.0)):
        proof = prove(facts, wrong, records)
        assert proof is None or proof.kind in (Kind.V1_WRONG, Kind.V2_WRONG)
    zeros = [replace(c.claim, v1=0.0, v2=0.0) for c in cases_of("AAPL")["revenue", YEAR]]
    assert not any(h.agree for h in learn(facts, zeros).values())


def test_a_company_without_facts_settles_nothing() -> None:
    claim, records = claim_of("AAPL", "revenue", YEAR, "2009-09-26")
    assert prove(CompanyFacts("0000000001", []), claim, records) is None
    nothing = replace(claim, v1=float("nan"))
    assert prove(facts_of("AAPL"), nothing, records) is None


def test_a_quarter_by_difference_rounded_by_its_filer_needs_the_very_figures() -> None:
    """A difference of figures rounded to 100,000 may be off by as much, so near is not enough."""
    some = [c.claim for c in derived_quarters(facts_of("MRVL"))["revenue", QUARTER]]
    records = learn(facts_of("MRVL"), some)
    claim = next(c for c in some if c.period.end == date(2022, 1, 29))
    assert (claim.v1, claim.v2) == (1_342_978_000, 1_343_000_000)
    proof = prove(facts_of("MRVL"), claim, records)
    assert proof is not None
    assert proof.kind is Kind.ROUNDED_BY_FILER
    assert proof.detail.startswith("rounded to 100,000: ")
    for near in (
        replace(claim, v2=claim.v2 + 50_000),
        replace(claim, v1=claim.v1 + 500),
        replace(claim, v1=claim.v2, v2=claim.v1),
    ):
        assert prove(facts_of("MRVL"), near, records) is None


def test_a_company_of_the_sandbox_leads_to_no_filing() -> None:
    fact = Fact("us-gaap:Revenues", 1.0, "0000320193-24-000123", "10-K", date(2024, 11, 1))
    folder = "https://www.sec.gov/Archives/edgar/data/320193/000032019324000123"
    assert link("0000320193", fact) == f"{folder}/0000320193-24-000123-index.htm"
    for profile in build_roster(3, seed=7, quirks=False, today=date(2026, 7, 1)):
        assert link(profile.cik, fact) is None
