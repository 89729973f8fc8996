"""Faults planted in one side of true histories, and what the witness says of each.

For every period of every field of the companies at hand v1 says what the first filing said and v2
what the last one said. Where both differ the change is a true one. A fault is another value in
the place of one of both.

    python -m tests.unit.parity.planted_faults     prints the table of docs/edgar.md
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.witness_facts import (
    INSTANT,
    QUARTER,
    USD,
    YEAR,
    CompanyFacts,
    Period,
    same,
)
from polygon_fundamentals.parity.witnesses import (
    Claim,
    Proof,
    TrackRecords,
    learn,
    nature,
    prove,
    simple_factor,
)

DATA = Path(__file__).parents[2] / "data" / "edgar"
CIKS = {"AAPL": "0000320193", "NVDA": "0001045810", "MRVL": "0001835632", "JPM": "0000019617"}
COMPANIES = ("AAPL", "NVDA", "MRVL")
# A first fact later than this after its period's end is a comparative, not the first filing.
_FIRST_WITHIN_DAYS = 150
CHANGES = frozenset(
    (Kind.RESTATED_PROVEN, Kind.SPLIT_ADJUSTED, Kind.ROUNDED_BY_FILER, Kind.SIGN, Kind.SCALE)
)


@dataclass(frozen=True)
class Line:
    """A field with the concepts that may stand for it, the likeliest first."""

    v2_field: str
    v1_field: str
    statement: str
    unit: str
    durations: tuple[str, ...]
    concepts: tuple[str, ...]


def lines() -> list[Line]:
    """Return the fields that have a concept."""
    with (DATA / "concepts.csv").open(encoding="utf-8") as file:
        return [
            Line(
                row["v2_field"], row["v1_field"], row["statement"], row["unit"],
                (INSTANT,) if row["kind"] == "instant" else (QUARTER, YEAR),
                tuple(f"us-gaap:{c}" for c in row["concepts"].split(";")),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def company(ticker: str) -> CompanyFacts:
    """Return a company's recorded facts."""
    return CompanyFacts.of(CIKS[ticker], pq.read_table(DATA / f"{ticker}.parquet"))


@dataclass(frozen=True)
class Case:
    """A claim as the filings make it, and the concept that it comes from."""

    field: str
    concept: str
    claim: Claim
    derived: bool = False


def histories(facts: CompanyFacts) -> dict[tuple[str, str], list[Case]]:
    """Return the claims of each field and duration: v1 as first filed, v2 as last filed."""
    found: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for line in lines():
        for period in facts.periods():
            if period.unit != line.unit or period.duration not in line.durations:
                continue
            filed = facts.filed(period)
            concept = next((c for c in line.concepts if c in filed), None)
            if concept is None:
                continue
            first, last = filed[concept][0], filed[concept][-1]
            if (first.filed - period.end).days <= _FIRST_WITHIN_DAYS:
                claim = Claim(period, first.value, last.value, first.accession, last.filed)
                found[line.v2_field, period.duration].append(Case(line.v2_field, concept, claim))
    return _with_splits(found)


def derived_quarters(facts: CompanyFacts) -> dict[tuple[str, str], list[Case]]:
    """Return the claims of quarters of money, those that nobody filed by difference.

    A fourth quarter is v1's own: it names no filing.
    """
    found: dict[tuple[str, str], list[Case]] = defaultdict(list)
    ends = {p.end for p in facts.periods() if p.unit == USD and p.duration != INSTANT}
    years = {p.end for p in facts.periods() if p.unit == USD and p.duration == YEAR}
    for line in lines():
        if QUARTER not in line.durations or line.unit != USD:
            continue
        for end in sorted(ends):
            period = Period(USD, QUARTER, end)
            history = facts.history(period)
            concept = next((c for c in line.concepts if history.get(c)), None)
            if concept is None:
                continue
            first, last = history[concept][0], history[concept][-1]
            if (first.filed - end).days <= _FIRST_WITHIN_DAYS:
                unfiled = first.derived and end in years
                accession = None if unfiled else first.accession
                claim = Claim(period, first.value, last.value, accession, last.filed, unfiled)
                found[line.v2_field, QUARTER].append(
                    Case(line.v2_field, concept, claim, first.derived)
                )
    return found


def _with_splits(found: dict[tuple[str, str], list[Case]]) -> dict[tuple[str, str], list[Case]]:
    splits: dict[tuple[str, date], float | None] = {}
    for (field, duration), cases in found.items():
        if field.endswith("shares_outstanding"):
            for case in cases:
                factor = simple_factor(case.claim.v1, case.claim.v2)
                if factor is not None:
                    splits[duration, case.claim.period.end] = factor
    return {
        key: [
            replace(c, claim=replace(c.claim, split=splits.get((key[1], c.claim.period.end))))
            for c in cases
        ]
        for key, cases in found.items()
    }


def faults(
    facts: CompanyFacts, case: Case, cases: Mapping[tuple[str, str], list[Case]], number: int
) -> Iterator[tuple[str, float]]:
    """Yield the faults that can be planted in a case: a name and the wrong value."""
    claim, key = case.claim, (case.field, case.claim.period.duration)
    true = claim.v1
    yield "sign", -true
    yield "times 1000", true * 1000
    yield "by 1000", true / 1000
    yield "zero", 0.0
    yield "1 % off", round(true * 1.01, 2 if claim.period.unit != "USD" else -6)
    mine = sorted(cases[key], key=lambda c: c.claim.period.end)
    place = mine.index(case)
    if place:
        yield "period before", mine[place - 1].claim.v1
    for other in mine:
        if abs((claim.period.end - other.claim.period.end).days - 365) < 10 and (
            other.claim.period.end < claim.period.end
        ):
            yield "year before", other.claim.v1
            break
    if claim.period.duration == QUARTER:
        for longer in ("half", "nine", "year"):
            to_date = facts.filed(claim.period._replace(duration=longer)).get(case.concept)
            if to_date:
                yield "year to date", to_date[0].value
                break
    others = [
        c
        for (field, duration), some in cases.items()
        if duration == claim.period.duration and field != case.field
        for c in some
        if c.claim.period == claim.period
    ]
    if others:
        yield "another line", others[number % len(others)].claim.v1


@dataclass
class Result:
    """What was planted and what was said, by fault, of both sides; and of the true changes."""

    planted: Counter[tuple[str, str]]
    said: dict[tuple[str, str], Counter[Kind | None]]
    true: Counter[Kind]
    true_found: Counter[Kind]
    wrongly_accused: int
    false_proofs: list[tuple[str, str, Claim, Proof]]
    values: int


def experiment(tickers: tuple[str, ...] = COMPANIES, *, derived: bool = False) -> Result:
    """Return what the witness says of every true change and of every planted fault.

    With `derived` of quarters by difference, else of what was filed.
    """
    result = Result(Counter(), defaultdict(Counter), Counter(), Counter(), 0, [], 0)
    for ticker in tickers:
        facts = company(ticker)
        cases = derived_quarters(facts) if derived else histories(facts)
        for some in cases.values():
            records = learn(facts, (c.claim for c in some))
            for case in some:
                if case.derived != derived:
                    continue
                result.values += 1
                _true(facts, case, records, result)
                for name, value in faults(facts, case, cases, result.values):
                    _plant(facts, case, name, value, records, result)
    return result


def _true(facts: CompanyFacts, case: Case, records: TrackRecords, result: Result) -> None:
    claim = case.claim
    if same(claim.v1, claim.v2):
        return
    kind = nature(claim)[0]
    result.true[kind] += 1
    proof = prove(facts, claim, records)
    if proof is not None and proof.kind in CHANGES:
        # A quarter by difference may be off by a whole unit of the filer's.
        assert proof.kind == kind or (case.derived and proof.kind is Kind.ROUNDED_BY_FILER)
        result.true_found[kind] += 1
    elif proof is not None:
        result.wrongly_accused += 1


def _plant(
    facts: CompanyFacts, case: Case, name: str, value: float, records: TrackRecords, result: Result
) -> None:
    claim = case.claim
    if same(value, claim.v1) or same(value, claim.v2):
        return
    for side, wrong in (("v2", replace(claim, v2=value)), ("v1", replace(claim, v1=value))):
        result.planted[name, side] += 1
        proof = prove(facts, wrong, records)
        result.said[name, side][None if proof is None else proof.kind] += 1
        if proof is not None and proof.kind in CHANGES:
            result.false_proofs.append((name, side, wrong, proof))


def table(result: Result) -> str:
    """Return the table of docs/edgar.md."""
    names = list(dict.fromkeys(name for name, _ in result.planted))
    rows = ["| fault | side | planted | called a change | the right side accused "
            "| the other side accused | not_restated | nothing |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    totals: Counter[tuple[str, str]] = Counter()
    for side in ("v2", "v1"):
        right, other = (Kind.V2_WRONG, Kind.V1_WRONG)[:: 1 if side == "v2" else -1]
        for name in names:
            said = result.said[name, side]
            cells = {
                "planted": result.planted[name, side],
                "change": sum(said[k] for k in CHANGES),
                "right": said[right],
                "other": said[other],
                "not": said[Kind.NOT_RESTATED],
                "nothing": said[None],
            }
            totals.update({(side, k): v for k, v in cells.items()})
            rows.append(
                f"| {name} | {side} | " + " | ".join(f"{v:,}" for v in cells.values()) + " |"
            )
    for side in ("v2", "v1"):
        cells = [totals[side, k] for k in ("planted", "change", "right", "other", "not", "nothing")]
        rows.append(f"| **all** | {side} | " + " | ".join(f"{v:,}" for v in cells) + " |")
    true = sum(result.true.values())
    found = sum(result.true_found.values())
    rows.append("")
    rows.append(f"{result.values:,} values, {true} true changes, {found} found: "
                + ", ".join(f"{k.value} {result.true_found[k]} of {n}"
                            for k, n in result.true.items())
                + f"; wrongly accused {result.wrongly_accused}")  # fmt: skip
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(experiment()))
    print("\nQuarters by difference:\n")
    print(table(experiment(derived=True)))
