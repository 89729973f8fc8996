"""What a third witness proves of a difference: the filings themselves, as SEC EDGAR keeps them.

v1 says what a period's first filing said, v2 what the last one says. Both name their filing: v1 by
its accession number, v2 by its filing date. These are the anchors. Which concept stands for a
field is not taken from a list but learned from the company: it equals v1 in v1's own filing in at
least three other periods and disagrees in at most one of twenty.

A zero is never matched, facts of one day have no order, and the absence of a fact counts only if
the same filing has another fact.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.witness_facts import (
    ROUNDING_UNITS,
    SHARES,
    USD,
    USD_PER_SHARE,
    CompanyFacts,
    Fact,
    Period,
    same,
)

# A concept is a field's if it agrees with v1 so often, and so many times as often as it disagrees.
_AGREE = 3
_TO_ONE = 20
_POWERS = (-3, -2, -1, 1, 2, 3)
# A factor that whole shares may hide, and half a cent of a figure per share.
_FACTOR_SLACK = 0.001
_HALF_A_CENT = 0.0051
_LARGEST_SPLIT = 50


@dataclass(frozen=True, slots=True)
class Claim:
    """What both generations say of a field in one period, in v2's sign; NaN is no value.

    `v1_accession` is that of the filing that v1 names, `v2_filed` the day of the one that v2
    names. `unfiled` says of a quarter that v1 derived it. `split` is how many of v2's shares one
    of v1's has become in that period, None where the share counts do not show it.
    """

    period: Period
    v1: float
    v2: float
    v1_accession: str | None = None
    v2_filed: date | None = None
    unfiled: bool = False
    split: float | None = None


class SignedConcept(NamedTuple):
    """A concept that stands for a field, with the sign that turns it into v2's."""

    concept: str
    sign: float


@dataclass
class TrackRecord:
    """Period ends in which the concept agreed with v1, with v1 and v2, or with neither."""

    agree: set[date] = field(default_factory=set)
    agree_all: set[date] = field(default_factory=set)
    differ: set[date] = field(default_factory=set)

    def speaks_for(self, end: date) -> bool:
        """Return whether the concept is the field's, judged by all periods but this one."""
        return len(self.agree - {end}) >= max(_AGREE, _TO_ONE * len(self.differ - {end}))

    def was_all_right(self, end: date) -> bool:
        """Return whether v1, v2 and the fact agreed in enough other periods."""
        return len(self.agree_all - {end}) >= _AGREE


TrackRecords = dict[SignedConcept, TrackRecord]


@dataclass(frozen=True)
class Proof:
    """What the filings say: a finding, and the facts that show it.

    `v1_fact` is of v1's own filing, `v2_fact` of the last one that v2 could know; one of them is
    None where it does not bear on the finding.
    """

    kind: Kind
    detail: str
    v1_fact: Fact | None = None
    v2_fact: Fact | None = None


def anchor(facts: CompanyFacts, claim: Claim) -> str | None:
    """Return the accession of v1's own filing; of a quarter that nobody filed, the year's."""
    if claim.v1_accession is None and claim.unfiled:
        return facts.first_of_year(claim.period.end)
    return claim.v1_accession


def is_provable(claim: Claim) -> bool:
    """Return whether facts can prove a claim: not for derived per-share figures or share counts."""
    return not claim.unfiled or claim.period.unit == USD


def learn(facts: CompanyFacts, claims: Iterable[Claim]) -> TrackRecords:
    """Return what each concept did beside a field, from that field's claims of one duration."""
    records: TrackRecords = defaultdict(TrackRecord)
    for claim in claims:
        accession = anchor(facts, claim)
        if accession is None or not is_provable(claim) or math.isnan(claim.v1):
            continue
        end = claim.period.end
        for fact in facts.own(accession, claim.period):
            if claim.v1 == 0 and fact.value == 0:
                continue  # a zero is like any other: it neither speaks for the concept nor against
            for sign in (1.0, -1.0):
                record = records[SignedConcept(fact.concept, sign)]
                if fact.is_value(sign * claim.v1) and claim.v1 != 0:
                    record.agree.add(end)
                    if same(claim.v1, claim.v2):
                        record.agree_all.add(end)
                else:
                    record.differ.add(end)
    return records


def prove(facts: CompanyFacts, claim: Claim, records: TrackRecords) -> Proof | None:
    """Return what the filings say of a difference, None where they settle nothing.

    `restated_proven` comes first; where one concept accuses v1 and another v2, neither counts.
    """
    if not is_provable(claim) or math.isnan(claim.v1) or math.isnan(claim.v2):
        return None
    end = claim.period.end
    accession = anchor(facts, claim)
    heard: dict[Kind, Proof] = {}
    history = facts.history(claim.period)
    for signed, record in records.items():
        if signed.concept not in history or not record.speaks_for(end):
            continue
        case = _Case(facts, claim, signed, history[signed.concept], accession)
        proof = case.restated() or case.accusation(record.was_all_right(end)) or case.unchanged()
        if proof is not None:
            heard.setdefault(proof.kind, proof)
    for kind in (*_CHANGES, Kind.V1_WRONG, Kind.V2_WRONG, Kind.NOT_RESTATED):
        if kind in heard:
            both = {Kind.V1_WRONG, Kind.V2_WRONG} <= heard.keys()
            return None if both and kind not in _CHANGES else heard[kind]
    return None


_CHANGES = (
    Kind.RESTATED_PROVEN,
    Kind.SPLIT_ADJUSTED,
    Kind.ROUNDED_BY_FILER,
    Kind.SIGN,
    Kind.SCALE,
)


@dataclass(frozen=True)
class _Case:
    """One difference, and one concept that can settle it."""

    facts: CompanyFacts
    claim: Claim
    signed: SignedConcept
    history: Sequence[Fact]
    accession: str | None

    def restated(self) -> Proof | None:
        """Return the proof that v1's filing has v1's value, and v2's last one v2's."""
        claim = self.claim
        own = self._own()
        if own is None or not self._is(own, claim.v1) or claim.v2_filed is None:
            return None
        known = [f for f in self.history if f.filed <= claim.v2_filed]
        last = [f for f in known if f.filed == known[-1].filed]
        shown = bool(last) and last[0].filed > own.filed
        if not shown or not all(self._is(f, claim.v2) for f in last):
            return None
        if any(f.is_value(own.value) for f in last):
            return self._rounded(own, last[0])
        changed = next(f for f in known if f.filed > own.filed and self._is(f, claim.v2))
        kind, words = nature(claim)
        detail = f"{self._said(own)}, then {_figure(changed)} in {_filing(changed)}"
        return Proof(kind, f"{words}: {detail}" if words else detail, own, changed)

    def _rounded(self, own: Fact, last: Fact) -> Proof | None:
        """Both are one figure within the filer's rounding: nothing was changed, but its unit may.

        A difference of two rounded figures may be off by a whole unit, so both sides must have
        the very figures.
        """
        v1, v2 = self.claim.v1, self.claim.v2
        exact = same(abs(own.value), abs(v1)) and same(abs(last.value), abs(v2))
        if not exact or not own.slack < last.slack or v1 % last.slack == 0:
            return None
        detail = f"{self._said(own)}, then {_figure(last)} in {_filing(last)}"
        words = f"rounded to {last.slack:,.0f}"
        return Proof(Kind.ROUNDED_BY_FILER, f"{words}: {detail}", own, last)

    def accusation(self, all_agreed: bool) -> Proof | None:
        """Return the proof that one side is wrong: the filings have only the other side's value."""
        claim = self.claim
        if not all_agreed:
            return None
        if all(self._is(f, claim.v2) and not self._is(f, claim.v1) for f in self.history):
            own = self._own()
            if own is None:
                return None
            return Proof(Kind.V1_WRONG, f"{self._said(own)}, and so in every filing", own)
        if self._only_v1() and self.facts.has_filing(claim.v2_filed):
            return Proof(Kind.V2_WRONG, self._unchanged_words(), self.history[0], self.history[-1])
        return None

    def unchanged(self) -> Proof | None:
        """Return the proof that no filing changed the concept up to v2's, which is there."""
        own = self._own()
        if own is None or not self._only_v1() or not self.facts.has_filing(self.claim.v2_filed):
            return None
        return Proof(Kind.NOT_RESTATED, self._unchanged_words(), own, self.history[-1])

    def _only_v1(self) -> bool:
        claim = self.claim
        return all(self._is(f, claim.v1) and not self._is(f, claim.v2) for f in self.history)

    def _own(self) -> Fact | None:
        if self.accession is None:
            return None
        mine = self.facts.own(self.accession, self.claim.period)
        return next((f for f in mine if f.concept == self.signed.concept), None)

    def _is(self, fact: Fact, value: float) -> bool:
        return value != 0 and fact.is_value(self.signed.sign * value)

    def _said(self, fact: Fact) -> str:
        how = " by difference" if fact.derived else ""
        return f"{fact.concept} is {_figure(fact)}{how} in {_filing(fact)}"

    def _unchanged_words(self) -> str:
        days = {f.filed for f in self.history}
        filings = f"{len(days)} filings" if len(days) > 1 else "the one filing that has it"
        last = self.history[-1]
        return f"{self._said(self.history[0])}, and so in {filings} up to {last.filed}"


def nature(claim: Claim) -> tuple[Kind, str]:
    """Return the finding that names the nature of a proven change, and a few words on it."""
    v1, v2, unit = claim.v1, claim.v2, claim.period.unit
    if same(v1, -v2):
        return Kind.SIGN, "a filer turned the sign"
    for power in _POWERS:
        if same(v2, v1 * 1000.0**power):
            return Kind.SCALE, f"a filer's scale, 1000^{power}"
    if unit != USD_PER_SHARE:
        for step in ROUNDING_UNITS:
            if v2 % step == 0 and v1 % step != 0 and abs(v1 - v2) <= step / 2:
                return Kind.ROUNDED_BY_FILER, f"rounded to {step:,.0f}"
    if claim.split is not None and _is_split(v1, v2, unit, claim.split):
        return Kind.SPLIT_ADJUSTED, f"{claim.split:g} shares for one"
    return Kind.RESTATED_PROVEN, ""


def simple_factor(v1: float, v2: float) -> float | None:
    """Return the split between two share counts, None where their ratio is no simple one."""
    if v1 <= 0 or v2 <= 0:
        return None
    ratio = v2 / v1
    for whole in range(2, _LARGEST_SPLIT + 1):
        for factor in (float(whole), 1.0 / whole, whole / 2.0):
            if factor != 1.0 and abs(ratio - factor) <= _FACTOR_SLACK * factor:
                return factor
    return None


def _is_split(v1: float, v2: float, unit: str, factor: float) -> bool:
    if unit == SHARES:
        return abs(v2 - v1 * factor) <= _FACTOR_SLACK * abs(v1 * factor)
    if unit == USD_PER_SHARE:
        return abs(v2 - v1 / factor) <= _HALF_A_CENT * max(1.0, 1.0 / factor)
    return False


def _figure(fact: Fact) -> str:
    return f"{fact.value:,.15g}"


def _filing(fact: Fact) -> str:
    return f"{fact.form} {fact.accession} ({fact.filed})"
