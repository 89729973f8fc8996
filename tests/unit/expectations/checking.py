"""The checkpoint of a lake, run as the command runs it, without a report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import orjson

from expectations import project
from expectations.answer import TOLERANCES_FILE
from expectations.outcome import Outcome
from expectations.suites import make_suites
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.frames import write_frames
from polygon_fundamentals.parity.run import Question
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.filled import comparison

TOLERANCES = load_tolerances(TOLERANCES_FILE)


def findings(lake: Lake, statements: Sequence[Statement], today: date) -> list[StatementFindings]:
    """What the comparison of some statements finds."""
    question = Question(TOLERANCES, (), {}, today)
    return [comparison(lake, statement, question).findings for statement in statements]


def checkpoint(
    lake: Lake,
    statements: Sequence[Statement],
    today: date,
    *,
    every_rule: bool = False,
) -> Outcome:
    """What the checkpoint says of some statements of a lake, by the rules that concern them.

    With `every_rule` the rules of the other statements are asked too, which have no rows then.
    """
    home = Path(tempfile.mkdtemp(prefix="checkpoint-", dir=lake.root.parent))
    write_frames(home / "frames", findings(lake, statements, today), TOLERANCES, today)
    return ask(home, tuple(Statement) if every_rule else statements)


def ask(home: Path, statements: Sequence[Statement] = tuple(Statement)) -> Outcome:
    """What the checkpoint says of the frames in `home`, by the rules of some statements."""
    suites = make_suites(TOLERANCES, ())
    others = {s.value for s in Statement if s not in statements}
    for suite in suites:
        suite.expectations = [
            rule for rule in suite.expectations if getattr(rule, "statement", "") not in others
        ]
    project.write_project(home / "gx", suites, {}, [], home / "frames")
    stored = home / "gx" / "checkpoints" / "parity.json"
    without_site = {**orjson.loads(stored.read_bytes()), "actions": []}
    stored.write_bytes(orjson.dumps(without_site))
    return Outcome.of(project.run_checkpoint(home / "gx", home / "gx", "run", datetime.now(UTC)))
