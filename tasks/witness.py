"""The task of parity's witness: ask about open differences, write what the filings prove.

A run without `--witness` asks nobody and uses EDGAR's earlier answers, so that all runs on one
state of the lake give the same result, and no later run hides a proven fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from prefect import task

from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.witness_facts import CompanyFacts
from polygon_fundamentals.parity.witness_run import WitnessReport, open_companies, settle
from polygon_fundamentals.reference.edgar import Edgar, EdgarLimit
from polygon_fundamentals.reference.edgar_cache import EdgarCache, EdgarReport, ask
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings import EDGAR_IDENTITY, lake_root, load_edgar_settings
from polygon_fundamentals.statements import Statement
from tasks.context import RunSpec
from tasks.parity import work_folder

NO_IDENTITY = (
    f"SEC EDGAR was not asked: set {EDGAR_IDENTITY} to your name and e-mail address, as the SEC "
    "requires; what it said before is used"
)
WITHOUT_ASKING = "the earlier answers of SEC EDGAR were used; `--witness edgar` asks again"


def ask_edgar(lake: Lake, ciks: Sequence[str], *, with_facts: bool) -> EdgarReport:
    """Ask EDGAR about some companies; return the numbers, and why it was not asked if so.

    Raises:
        UsageError: EDGAR_IDENTITY, or an address of EDGAR's, cannot be used.
    """
    settings = load_edgar_settings()
    if settings is None:
        return EdgarReport(companies=len(ciks), note=NO_IDENTITY)
    edgar = Edgar(settings, EdgarLimit(lake, settings))
    return ask(EdgarCache(lake), edgar, ciks, today_in_new_york(), with_facts=with_facts)


@task(name="witness", task_run_name="witness · edgar", persist_result=False)
def ask_witness(
    spec: RunSpec, reference: dict[str, ReferenceTicker], *, asking: bool
) -> dict[str, object]:
    """Write what SEC EDGAR's filings prove of open differences; with `asking`, ask it first."""
    lake = Lake(lake_root(spec.lake))
    folder = work_folder(lake, spec.run)
    findings = [StatementFindings(statement, folder / statement.value) for statement in Statement]
    companies = open_companies(findings)
    asked = EdgarReport(companies=len(companies), note=WITHOUT_ASKING)
    if asking:
        asked = ask_edgar(lake, list(companies), with_facts=True)
    report = settle(lake, findings, companies, partial(_facts, EdgarCache(lake)), reference)
    return {
        "witness": "edgar",
        **{name: value for name, value in asdict(asked).items() if name != "problems"},
        "companies_without_facts": report.companies_without_facts,
        "settled": dict(report.settled),
        "evidence": dict(report.evidence),
        "examples": report.examples,
        "sentence": _sentence(asked, report),
    }


def notes_of(report: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the witness's notes for the report."""
    if report is None:
        return ()
    examples = (f"proven: {example}" for example in report["examples"])
    return tuple(note for note in (report["note"], report["sentence"], *examples) if note)


def _facts(cache: EdgarCache, cik: str) -> CompanyFacts | None:
    entry = cache.facts(cik)
    return None if entry is None or entry.note.nothing else CompanyFacts.of(cik, entry.rows)


def _sentence(asked: EdgarReport, report: WitnessReport) -> str:
    known = report.companies - report.companies_without_facts
    if not known and not asked.requests:
        return ""  # nothing was asked and nothing is known: the note says why
    changes = ", ".join(
        f"{counted(count, 'finding')} changed from {what.replace(' > ', ' to ')}"
        for what, count in sorted(report.settled.items())
    )
    text = (
        f"SEC EDGAR has facts of {known:,} of {report.companies:,} companies with open "
        f"differences ({asked.requests:,} requests): {changes or 'no finding changed'}"
    )
    evidence = report.evidence.total()
    return f"{text}; evidence for {counted(evidence, 'other finding')}." if evidence else f"{text}."
