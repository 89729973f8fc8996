"""Tasks of `parity`: one per batch of companies that compares it, and one that runs the rules.

The findings go from the first to the last through files in the lake; no frame crosses.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from prefect import task

from expectations.answer import ACCEPTED_FILE, TOLERANCES_FILE, answer
from expectations.summary import Asked
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.run import compare_batch
from polygon_fundamentals.parity.tolerances import load_accepted, load_tolerances
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement
from tasks.context import RunSpec


def work_folder(lake: Lake, run: str) -> Path:
    """Return the folder in which the tasks of a run leave their findings until it ends."""
    return _works(lake) / run


def _works(lake: Lake) -> Path:
    return lake.ops / "cache" / "parity-work"


def drop_dead_work(lake: Lake, running: set[str]) -> None:
    """Remove what killed runs left: the folders of all runs that are not `running`."""
    if _works(lake).is_dir():
        for folder in _works(lake).iterdir():
            if folder.name not in running:
                shutil.rmtree(folder, ignore_errors=True)


def drop_work(lake: Lake, run: str) -> None:
    shutil.rmtree(work_folder(lake, run), ignore_errors=True)


@dataclass(frozen=True)
class BatchJob:
    """A batch of a plan: its statement, number and tickers, and their reference entries."""

    statement: str
    number: int
    tickers: list[str]
    reference: dict[str, ReferenceTicker]
    day: str


def statement_folder(spec: RunSpec, statement: Statement) -> Path:
    """Return the folder of a statement's plan, batches and findings."""
    return work_folder(Lake(Path(spec.lake)), spec.run) / statement.value


def accepted_file(accepted: str | None) -> Path:
    """Return the file of accepted differences: the one that is given, else the project's."""
    return Path(accepted) if accepted else ACCEPTED_FILE


def question_of(spec: RunSpec, reference: Mapping[str, ReferenceTicker], day: date) -> Question:
    """Return the question of a comparison, with the project's limits."""
    accepted = load_accepted(accepted_file(spec.accepted))
    return Question(load_tolerances(TOLERANCES_FILE), accepted, reference, day)


@task(name="compare", task_run_name="{label}", persist_result=False)
def compare_one(spec: RunSpec, label: str, job: BatchJob) -> int:
    """Compare one batch; return how many tickers it has. Its tables are left in files."""
    statement = Statement(job.statement)
    question = question_of(spec, job.reference, date.fromisoformat(job.day))
    folder = statement_folder(spec, statement)
    lake = Lake(Path(spec.lake))
    compare_batch(lake, statement, question, job.tickers, folder, job.number)
    return len(job.tickers)


@task(name="checkpoint", task_run_name="checkpoint · {label}", persist_result=False)
def run_rules(spec: RunSpec, label: str, asked: Asked) -> dict[str, object]:
    """Run the rules on what was compared; write report and data docs; return the answer."""
    lake = Lake(Path(spec.lake))
    folder = work_folder(lake, spec.run)
    tolerances = load_tolerances(TOLERANCES_FILE)
    accepted = load_accepted(accepted_file(spec.accepted))
    findings = [StatementFindings(statement, folder / statement.value) for statement in Statement]
    return answer(lake, findings, asked, tolerances, accepted)
