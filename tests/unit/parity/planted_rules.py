"""What looser rules than the product's would call a change, of the faults of `planted_faults`.

python -m tests.unit.parity.planted_rules     prints the table of docs/edgar.md
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from polygon_fundamentals.parity.witness_facts import CompanyFacts, Period, same
from polygon_fundamentals.parity.witnesses import Claim, TrackRecords, learn, prove
from tests.unit.parity.planted_faults import CHANGES, COMPANIES, company, faults, histories

RULES = ("value", "concept", "duration", "anchored", "learned")


def calling_rules(
    facts: CompanyFacts, by_end: Mapping[date, list[Period]], claim: Claim, records: TrackRecords
) -> dict[str, bool]:
    """Return which rules call a claim a change, from the loosest to the product's own.

    Both values were filed with that end, in this order; by one concept and unit; of the same
    duration; v1's in v1's filing and v2's the last; and the concept is learned.
    """
    every = [
        (period, concept, fact)
        for period in by_end[claim.period.end]
        for concept, filed in facts.filed(period).items()
        for fact in filed
    ]
    firsts = [one for one in every if same(one[2].value, claim.v1)]
    lasts = [one for one in every if same(one[2].value, claim.v2)]
    called = dict.fromkeys(RULES, False)
    for first, concept, one in firsts:
        for last, other, two in lasts:
            if one.filed >= two.filed:
                continue
            called["value"] = True
            if concept != other or first.unit != last.unit:
                continue
            called["concept"] = True
            if first != last or first != claim.period:
                continue
            called["duration"] = True
            newest = facts.filed(last)[concept][-1]
            if one.accession == claim.v1_accession and same(newest.value, claim.v2):
                called["anchored"] = True
    proof = prove(facts, claim, records)
    called["learned"] = proof is not None and proof.kind in CHANGES
    return called


def table_of_rules(tickers: tuple[str, ...] = COMPANIES) -> str:
    """Return the table of docs/edgar.md that shows what each rule calls a change."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for ticker in tickers:
        facts, number = company(ticker), 0
        by_end = defaultdict(list)
        for period in facts.periods():
            by_end[period.end].append(period)
        cases = histories(facts)
        for some in cases.values():
            records = learn(facts, (c.claim for c in some))
            for case in some:
                number += 1
                claim = case.claim
                tried = [] if same(claim.v1, claim.v2) else [("true changes", "", claim)]
                for name, value in faults(facts, case, cases, number):
                    if not same(value, claim.v1) and not same(value, claim.v2):
                        tried.append((name, "v2", replace(claim, v2=value)))
                        tried.append((name, "v1", replace(claim, v1=value)))
                for name, side, wrong in tried:
                    said = calling_rules(facts, by_end, wrong, records)
                    counts[name, side].update(["tried", *(r for r in RULES if said[r])])
    rows = [
        "| fault | side | planted | " + " | ".join(RULES) + " |",
        "| --- | --- |" + " ---: |" * 6,
    ]
    for (name, side), count in sorted(counts.items(), key=lambda item: (item[0][1], item[0][0])):
        cells = (f"{count[word]:,}" for word in ("tried", *RULES))
        rows.append(f"| {name} | {side} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table_of_rules())
