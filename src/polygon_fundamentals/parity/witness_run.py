"""Asking the witness about a lake's differences, and writing what it proves into the findings.

It comes after the comparison and changes nothing in its cache: what the filings say of a value
stands in the run's own tables.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.field_map import Unit, entries
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.findings import StatementFindings, writing
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.tally import compared_lines
from polygon_fundamentals.parity.witness_claims import Line, LineKey, claims_of
from polygon_fundamentals.parity.witness_facts import CompanyFacts, Fact
from polygon_fundamentals.parity.witnesses import Claim, Proof, learn, prove
from polygon_fundamentals.periods.companies import batches, ciks_of
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Generation, Statement

# Companies with a difference of these kinds are asked about; of a derived quarter money only.
_ASKED = (Kind.RESTATED, Kind.UNEXPLAINED, Kind.SIGN, Kind.SCALE, Kind.V1_BREAKS_IDENTITY)
# These may become another finding; those keep their name and gain the filings.
_OPEN = (Kind.RESTATED, Kind.UNEXPLAINED, Kind.V1_BREAKS_IDENTITY, Kind.DERIVED_QUARTER)
# v2 calculates these as differences, so an error in one adds up: a definition is asked about too.
_DIVIDED = ("operating_income", "total_other_income_expense")
_NAMED = (Kind.SIGN, Kind.SCALE, Kind.SPLIT_ADJUSTED, Kind.ROUNDED_BY_FILER)
_TIMEFRAMES = ("quarterly", "annual")
_BATCH_TICKERS = 60
_EXAMPLES = 3
FILING_URL = "https://www.sec.gov/Archives/edgar/data/{cik}/{folder}/{accession}-index.htm"
# The sandbox numbers its companies from here on; the SEC's numbers are far below.
INVENTED_CIK = 9_000_000
NO_FILING = "the sandbox invented this company, so the SEC has no such filing"
_SIDES = ("v1", "v2")
EVIDENCE_SCHEMA = pa.schema(
    [pa.field("edgar_concept", pa.string())]
    + [
        pa.field(f"edgar_{side}_{name}", kind)
        for side in _SIDES
        for name, kind in (
            ("accession", pa.string()),
            ("form", pa.string()),
            ("filed", pa.date32()),
            ("link", pa.string()),
        )
    ]
)

# Returns a company's facts, None where they are not known.
FactsOf = Callable[[str], CompanyFacts | None]


class ValueKey(NamedTuple):
    """A value in the findings of one statement."""

    cik: str
    timeframe: str
    period_end: pd.Timestamp
    v2_field: str


@dataclass
class WitnessReport:
    """What the witness settled: companies, and values by the finding that they had and have.

    `examples` are a few proven restatements in words, each with the address of its filing.
    """

    companies: int = 0
    companies_without_facts: int = 0
    settled: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def open_companies(all_findings: Sequence[StatementFindings]) -> dict[str, list[str]]:
    """Return the companies with a difference that could be settled: tickers by CIK.

    Among them those under which v2 alone has a company, which may have been renamed.
    """
    companies: dict[str, set[str]] = defaultdict(set)
    for findings in all_findings:
        money = [e.v2 for e in entries(findings.statement) if e.v2 and e.unit is Unit.USD]
        for values in findings.batches("values"):
            kinds, fields = values["kind"], values["v2_field"]
            asked = pc.or_(
                pc.is_in(kinds, pa.array([k.value for k in _ASKED])),
                pc.and_(
                    pc.equal(kinds, Kind.DERIVED_QUARTER.value), pc.is_in(fields, pa.array(money))
                ),
            )
            divided = pc.is_in(fields, pa.array(_DIVIDED))
            asked = pc.or_(asked, pc.and_(pc.equal(kinds, Kind.LINE_DEFINITION.value), divided))
            asked = pc.and_(asked, pc.is_in(values["timeframe"], pa.array(_TIMEFRAMES)))
            rows = values.filter(pc.and_(asked, pc.is_valid(values["cik"])))
            pairs = rows.select(["cik", "tickers"]).group_by(["cik", "tickers"]).aggregate([])
            for cik, tickers in zip(
                pairs["cik"].to_pylist(), pairs["tickers"].to_pylist(), strict=True
            ):
                companies[cik].update(tickers.split(","))
    for findings in all_findings:
        for ticker, ciks in ciks_of(findings.table("v2_records", ["ticker", "cik"])).items():
            for cik in ciks & companies.keys():
                companies[cik].add(ticker)
    return {cik: sorted(tickers) for cik, tickers in sorted(companies.items())}


def settle(
    lake: Lake,
    all_findings: Sequence[StatementFindings],
    companies: Mapping[str, Sequence[str]],
    facts_of: FactsOf,
    reference: Mapping[str, ReferenceTicker],
) -> WitnessReport:
    """Write what the facts of some companies prove into the findings; return the numbers.

    `companies` is that of `open_companies`. Rewrites `values` and `tallies` of each statement.
    Raises DamagedFileError for a file of the lake or of the findings that cannot be read.
    """
    report = WitnessReport(companies=len(companies))
    proofs: dict[Statement, dict[ValueKey, tuple[Claim, Proof]]] = {
        f.statement: {} for f in all_findings
    }
    clusters = [tuple(tickers) for tickers in companies.values()]
    ciks_of = defaultdict(list)
    for cik, tickers in companies.items():
        ciks_of[tickers[0]].append(cik)
    for batch in batches(clusters, _BATCH_TICKERS):
        ciks = {cik for ticker in batch for cik in ciks_of[ticker]}
        known = {cik: facts for cik in ciks if (facts := facts_of(cik)) is not None}
        report.companies_without_facts += len(ciks) - len(known)
        for statement, proven in proofs.items():
            lines = _lines(lake, statement, batch, reference)
            proven.update(_proofs(lines, known))
    for findings in all_findings:
        _write(findings, proofs[findings.statement], report)
    return report


def _lines(
    lake: Lake,
    statement: Statement,
    tickers: Sequence[str],
    reference: Mapping[str, ReferenceTicker],
) -> dict[LineKey, Line]:
    v1, v2 = (read_dataset(lake.dataset(g, statement), tickers) for g in Generation)
    theirs = {t: reference[t] for t in tickers if t in reference}
    return claims_of(v1, v2, statement, theirs)


def _proofs(
    lines: Mapping[LineKey, Line], known: Mapping[str, CompanyFacts]
) -> Iterator[tuple[ValueKey, tuple[Claim, Proof]]]:
    """Yield what is proven of each value that differs."""
    for (cik, v2_field, timeframe), line in lines.items():
        facts = known.get(cik)
        if facts is None or all(claim.v1 == claim.v2 for claim in line.values()):
            continue
        dated = {end: _dated(facts, claim, end.date()) for end, claim in line.items()}
        records = learn(facts, dated.values())
        for end, claim in dated.items():
            if claim.v1 == claim.v2:
                continue
            proof = prove(facts, claim, records)
            if proof is not None:
                yield ValueKey(cik, timeframe, end, v2_field), (claim, proof)


def _dated(facts: CompanyFacts, claim: Claim, v1_end: date) -> Claim:
    """The claim on the day of which there are facts: v2's, or v1's where v2's has none."""
    of_v1 = claim.period._replace(end=v1_end)
    if of_v1 == claim.period or facts.history(claim.period) or not facts.history(of_v1):
        return claim
    return replace(claim, period=of_v1)


def kind_after(before: Kind, proof: Proof, v2_field: str) -> Kind | None:
    """Return the finding that a proof makes of another, None where it does not bear on it."""
    if before in _NAMED:
        return before
    if before not in _OPEN and not (before is Kind.LINE_DEFINITION and v2_field in _DIVIDED):
        return None
    if proof.kind is Kind.NOT_RESTATED and before is not Kind.RESTATED:
        return None
    return proof.kind


def _write(
    findings: StatementFindings,
    proofs: Mapping[ValueKey, tuple[Claim, Proof]],
    report: WitnessReport,
) -> None:
    """Rewrite the findings with what is proven, and their numbers."""
    moved: Counter[tuple[str, str, str, str]] = Counter()
    with writing(findings.folder) as writer:
        for values in findings.batches("values"):
            writer.add("values", _with_proofs(values, proofs, moved, report))
        writer.add("tallies", _moved(findings, moved))


def _with_proofs(
    values: pa.Table,
    proofs: Mapping[ValueKey, tuple[Claim, Proof]],
    moved: Counter[tuple[str, str, str, str]],
    report: WitnessReport,
) -> pa.Table:
    kinds, details = values["kind"].to_pylist(), values["detail"].to_pylist()
    evidence: dict[str, list[str | date | None]] = {
        name: [None] * values.num_rows for name in EVIDENCE_SCHEMA.names
    }
    ciks = {key.cik for key in proofs}
    rows = np.flatnonzero(pc.is_in(values["cik"], pa.array(ciks, pa.string())).to_numpy())
    names = ("cik", "timeframe", "period_end", "v2_field", "ticker", "relation", "v1_value",
             "v2_value")  # fmt: skip
    frame = values.select(names).take(pa.array(rows)).to_pandas()
    for row, line in zip(rows.tolist(), frame.itertuples(index=False), strict=True):
        key = ValueKey(line.cik, line.timeframe, pd.Timestamp(line.period_end), line.v2_field)
        claim_and_proof = proofs.get(key)
        if claim_and_proof is None or claim_and_proof[0].v2 != line.v2_value:
            continue
        proof, before = claim_and_proof[1], kinds[row]
        after = kind_after(Kind(before), proof, line.v2_field)
        if after is None:
            continue
        kinds[row] = after.value
        earlier = details[row] if after.value == before else ""
        details[row] = f"{earlier}; {proof.detail}" if earlier else proof.detail
        for name, value in _evidence(line.cik, proof).items():
            evidence[name][row] = value
        if after.value == before:
            report.evidence[before] += 1
        else:
            moved[line.ticker, line.v2_field, before, after.value] += 1
            report.settled[f"{before} > {after.value}"] += 1
            if after is Kind.RESTATED_PROVEN and len(report.examples) < _EXAMPLES:
                what = f"{line.ticker} {line.v2_field} {line.period_end:%Y-%m-%d}"
                shown = proof.v2_fact and link(line.cik, proof.v2_fact)
                report.examples.append(f"{what}: {proof.detail}; {shown or NO_FILING}")
    table = values
    for name, column in (("kind", kinds), ("detail", details)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(column, pa.string()))
    for wanted in EVIDENCE_SCHEMA:
        table = table.append_column(wanted, pa.array(evidence[wanted.name], wanted.type))
    return table


def _evidence(cik: str, proof: Proof) -> dict[str, str | date | None]:
    facts = dict(zip(_SIDES, (proof.v1_fact, proof.v2_fact), strict=True))
    concept = next((f.concept for f in facts.values() if f is not None), None)
    row: dict[str, str | date | None] = {"edgar_concept": concept}
    for side, fact in facts.items():
        if fact is not None:
            row[f"edgar_{side}_accession"] = fact.accession
            row[f"edgar_{side}_form"] = fact.form
            row[f"edgar_{side}_filed"] = fact.filed
            row[f"edgar_{side}_link"] = link(cik, fact)
    return row


def link(cik: str, fact: Fact) -> str | None:
    """Return the address of a fact's filing, None for a company that the sandbox invented."""
    if int(cik) >= INVENTED_CIK:
        return None
    folder = fact.accession.replace("-", "")
    return FILING_URL.format(cik=int(cik), folder=folder, accession=fact.accession)


def _moved(findings: StatementFindings, moved: Mapping[tuple[str, str, str, str], int]) -> pa.Table:
    """Return the numbers of findings after some of them have changed."""
    tallies = findings.table("tallies")
    lines = compared_lines(findings.statement)
    changes: Counter[tuple[str, int, str]] = Counter()
    for (ticker, v2_field, before, after), count in moved.items():
        changes[ticker, lines[v2_field], before] -= count
        changes[ticker, lines[v2_field], after] += count
    rows = [
        {"ticker": ticker, "line": line, "kind": kind, "count": count}
        for (ticker, line, kind), count in changes.items()
    ]
    both = pa.concat_tables([tallies, pa.Table.from_pylist(rows, schema=tallies.schema)])
    summed = both.group_by(["ticker", "line", "kind"], use_threads=False).aggregate(
        [("count", "sum")]
    )
    summed = summed.rename_columns({"count_sum": "count"}).select(tallies.schema.names)
    return summed.filter(pc.not_equal(summed["count"], 0)).cast(tallies.schema)
