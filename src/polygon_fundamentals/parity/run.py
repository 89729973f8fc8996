"""Comparing a lake: in batches of whole companies, and on the next run only what changed.

A plan says which companies to compare, a batch compares some of them and leaves its tables in a
folder, and a merge joins them with the cache. `compare_lake` does one after the other. A batch can
also be compared in another process, or on another machine that sees the lake.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from polygon_fundamentals.lake.archived_rows import read_archived
from polygon_fundamentals.lake.catalogue import companies_of
from polygon_fundamentals.lake.listing import FileState, read_shown
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.storage.local import temporary_name
from polygon_fundamentals.parity.cached_findings import CachedFindings
from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.findings import NAMES, StatementFindings, tables_of, writing
from polygon_fundamentals.parity.first_filings import with_v1_first_filings
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.meeting import ciks_of_both
from polygon_fundamentals.parity.plan import Plan, Question, archived_tickers, plan_comparison
from polygon_fundamentals.parity.records import file_faults, record_rows
from polygon_fundamentals.periods.companies import ciks_of
from polygon_fundamentals.reference.tickers import company_name, names_asked
from polygon_fundamentals.statements import Generation, Statement


@dataclass(frozen=True)
class Answer:
    """The findings of one statement, and how many of its tickers were compared again."""

    findings: StatementFindings
    tickers_compared_anew: int
    tickers_from_cache: int


def v1_tickers(lake: Lake) -> list[str]:
    """Return the tickers that v1 has in any statement, sorted."""
    return sorted({t for s in Statement for t in _tickers(lake.dataset(Generation.V1, s))})


def v2_tickers(lake: Lake) -> set[str]:
    """Return the tickers that have a file in v2, in any statement."""
    return {t for s in Statement for t in _tickers(lake.dataset(Generation.V2, s))}


def names_to_look_up(lake: Lake, tickers: Iterable[str]) -> list[str]:
    """Return the names to look up in the list of tickers: what became of those that v2 lacks?

    These are the `tickers` of v1 for which v2 has no file, or not every company, and these
    companies (as `company_name`): a symbol may have passed to another company, and a company to
    another symbol. Names that were looked up before are among them: v2 may have nothing but empty
    records of these, which a first comparison without them finds missing (`names_found_missing`).
    Brings the catalogue up to date.
    """
    in_v1, in_v2 = (companies_of(lake, generation) for generation in Generation)
    for statement in Statement:
        archived = read_archived(lake.dataset(Generation.V1, statement), columns=["ticker", "cik"])
        for ticker, ciks in ciks_of(archived).items() if archived is not None else ():
            in_v1.setdefault(ticker, set()).update(ciks)
    known = {company_name(cik) for ciks in in_v2.values() for cik in ciks}
    asked_before, names = names_asked(lake), set[str]()
    for ticker in tickers:
        companies = {company_name(cik) for cik in in_v1.get(ticker, ())}
        lacking = companies - known
        if lacking or ticker not in in_v2:
            names |= {ticker, *lacking}
        names |= {ticker, *companies} & asked_before
    return sorted(names)


def names_found_missing(all_findings: Iterable[StatementFindings]) -> list[str]:
    """Return the tickers that a comparison calls missing, and their companies.

    In the form of `names_to_look_up`, which cannot know that v2's files of a company hold nothing
    but records without amounts.
    """
    names: set[str] = set()
    for findings in all_findings:
        tickers = findings.frame("tickers")
        missing = tickers[tickers["kind"] == Kind.MISSING.value]
        names |= {*missing["ticker"], *missing["cik"].dropna().map(company_name)}
    return sorted(names)


def sampled(tickers: Sequence[str], size: int, seed: int) -> list[str]:
    """Return `size` of the tickers, the same for the same seed; all if there are no more."""
    if size >= len(tickers):
        return sorted(tickers)
    return sorted(random.Random(seed).sample(sorted(tickers), size))


def compare_lake(
    lake: Lake,
    statement: Statement,
    question: Question,
    folder: Path,
    tickers: Iterable[str] | None = None,
) -> Answer:
    """Return the comparison of a statement; with `tickers`, only of their companies, each whole.

    Writes the answer's tables to `folder`, which is the caller's alone, and the cache. Raises
    DamagedFileError for a file that cannot be read.
    """
    plan = plan_comparison(lake, statement, question, folder, tickers)
    for number, batch in enumerate(plan.batches):
        compare_batch(lake, statement, question, batch, folder, number)
    return merge(lake, plan)


def compare_batch(
    lake: Lake,
    statement: Statement,
    question: Question,
    tickers: Sequence[str],
    folder: Path,
    number: int,
) -> None:
    """Compare one of a plan's batches; leave its tables in the plan's folder, all or none.

    Raises DamagedFileError for a file that cannot be read.
    """
    tables = _compared(lake, statement, question, tickers, folder)
    target = _batch_folder(folder, number)
    beside = temporary_name(target)
    with writing(beside) as writer:
        for name, table in tables.items():
            writer.add(name, table)
    shutil.rmtree(target, ignore_errors=True)  # of a task that was run again
    beside.rename(target)


def is_compared(plan: Plan, number: int) -> bool:
    """Return whether a batch of a plan left its tables."""
    return _batch_folder(plan.folder, number).exists()


def merge(lake: Lake, plan: Plan) -> Answer:
    """Join what a plan's batches left with the cache; write and return the answer.

    The findings of a batch that failed are missing in both, and the next run compares it. Must not
    be called if every batch failed.
    """
    statement, folder = plan.statement, plan.folder
    done, compared = [], set[str]()
    for number, batch in enumerate(plan.batches):
        if is_compared(plan, number):
            done.append(StatementFindings(statement, _batch_folder(folder, number)))
            compared.update(batch)
    fresh = [c for c in plan.stale if c[0] in compared]
    before = plan.cache.findings
    if before is not None and not plan.stale and len(plan.current) == len(plan.cache.keys):
        whole = before
    else:
        whole = StatementFindings(statement, folder / "whole")
        with writing(whole.folder) as writer:
            if before is not None and plan.current:
                writer.add_tickers(before, (t for c in plan.current for t in c))
            for findings in done:
                for name in NAMES:
                    for table in findings.batches(name):
                        writer.add(name, table)
        CachedFindings(
            whole,
            {c[0]: plan.keys[c[0]] for c in (*plan.current, *fresh)},
            {t: (plan.states[t], list(plan.ciks[t])) for t in plan.states},
        ).write(lake)
    members = [t for c in plan.chosen for t in c]
    if len(plan.current) + len(plan.stale) == len(plan.chosen):
        answer = whole.linked(folder)
    else:
        answer = StatementFindings(statement, folder)
        with writing(folder) as writer:
            writer.add_tickers(whole, members)
    from_cache = len(members) - sum(map(len, plan.stale))
    return Answer(answer, sum(map(len, fresh)), from_cache)


def _batch_folder(folder: Path, number: int) -> Path:
    return folder / f"batch-{number:04}"


def _tickers(dataset: Dataset) -> set[str]:
    return archived_tickers(dataset) | {ticker for _, ticker, _ in dataset.files()}


def _compared(
    lake: Lake, statement: Statement, question: Question, tickers: Sequence[str], folder: Path
) -> dict[str, pa.Table]:
    """Compare some tickers, as the plan listed them; return the tables of `findings.NAMES`."""
    v1, v2 = (lake.dataset(g, statement) for g in Generation)
    shown = {d.generation: read_shown(folder, d, tickers) for d in (v1, v2)}
    v1_table, v2_table = (read_dataset(d, tickers, shown[d.generation]) for d in (v1, v2))
    result = compare_statement(
        v1_table,
        v2_table,
        statement,
        question.tolerances,
        question.reference,
        question.accepted,
        question.today,
    )
    files: dict[str, list[FileState]] = {ticker: [] for ticker in tickers}
    for states in shown[Generation.V2].values():
        for state in states:
            if state.ticker in files:
                files[state.ticker].append(state)
    ciks = ciks_of_both(v1_table, v2_table, question.reference)
    frames = {
        **vars(result),
        "v1_records": record_rows(v1_table, v1, tickers),
        "v2_records": with_v1_first_filings(record_rows(v2_table, v2, tickers), v1_table, v1, ciks),
        "v2_files": file_faults(v2, [state for mine in files.values() for state in mine]),
    }
    return tables_of(frames)
