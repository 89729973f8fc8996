"""Tasks of `parity`: one a statement that compares, one that asks the rules.

What the first found goes to the second through files of the lake: no frame crosses.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from prefect import task

from expectations.answer import ACCEPTED_FILE, TOLERANCES_FILE, Asked, answer
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity import load_accepted, load_tolerances
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.run import Question, compare_lake
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement
from tasks.context import RunSpec


def work_folder(lake: Lake, run: str) -> Path:
    """Return where the tasks of a run leave what they found, until it ends."""
    return _works(lake) / run


def _works(lake: Lake) -> Path:
    return lake.ops / "cache" / "parity-work"


def drop_dead_work(lake: Lake, running: set[str]) -> None:
    """Remove what killed runs left: the folders of all but the runs that are running."""
    if _works(lake).is_dir():
        for folder in _works(lake).iterdir():
            if folder.name not in running:
                shutil.rmtree(folder, ignore_errors=True)


def drop_work(lake: Lake, run: str) -> None:
    """Remove what the tasks of a run left."""
    shutil.rmtree(work_folder(lake, run), ignore_errors=True)


@task(name="compare", task_run_name="{statement} · {label}", persist_result=False)
def compare_one(
    spec: RunSpec,
    label: str,
    statement: str,
    tickers: list[str] | None,
    reference: dict[str, ReferenceTicker],
    day: str,
) -> dict[str, int]:
    """Compare one statement; return how many tickers were compared and how many were cached."""
    lake, which = Lake(Path(spec.lake)), Statement(statement)
    question = Question(
        load_tolerances(TOLERANCES_FILE),
        load_accepted(ACCEPTED_FILE),
        reference,
        date.fromisoformat(day),
    )
    folder = work_folder(lake, spec.run) / which.value
    done = compare_lake(lake, which, question, folder, tickers)
    return {"anew": done.tickers_compared_anew, "from_cache": done.tickers_from_cache}


@task(name="checkpoint", task_run_name="checkpoint · {label}", persist_result=False)
def run_rules(spec: RunSpec, label: str, asked: Asked) -> dict[str, object]:
    """Run the rules on what was compared; write report and data docs; return the answer."""
    lake = Lake(Path(spec.lake))
    folder = work_folder(lake, spec.run)
    tolerances, accepted = load_tolerances(TOLERANCES_FILE), load_accepted(ACCEPTED_FILE)

    findings = [StatementFindings(statement, folder / statement.value) for statement in Statement]
    return answer(lake, findings, asked, tolerances, accepted)
