"""The rules of parity on a lake, by themselves and in the checkpoint of the command."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pandas as pd
from great_expectations.core import ExpectationSuite, ExpectationValidationResult

from expectations import project
from expectations.answer import TOLERANCES_FILE
from expectations.outcome import Outcome, RuleResult, rule_result
from expectations.plugin.base import ParityRule
from expectations.suites import make_suites
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.frames import write_frames
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.filled import comparison

TOLERANCES = load_tolerances(TOLERANCES_FILE)


def findings(lake: Lake, statements: Sequence[Statement], today: date) -> list[StatementFindings]:
    """What the comparison of some statements finds."""
    question = Question(TOLERANCES, (), {}, today)
    return [comparison(lake, statement, question).findings for statement in statements]


def suites_of(statements: Sequence[Statement]) -> list[ExpectationSuite]:
    """The suites, of which only the rules that concern some statements are left."""
    suites = make_suites(TOLERANCES, ())
    others = {s.value for s in Statement if s not in statements}
    for suite in suites:
        suite.expectations = [
            rule for rule in suite.expectations if getattr(rule, "statement", "") not in others
        ]
    return suites


def frames_of(lake: Lake, statements: Sequence[Statement], today: date) -> Path:
    """A folder with the frames of a lake."""
    home = Path(tempfile.mkdtemp(prefix="checkpoint-", dir=lake.root.parent))
    write_frames(home / "frames", findings(lake, statements, today), TOLERANCES, today)
    return home


def judged(home: Path, statements: Sequence[Statement] = tuple(Statement)) -> list[RuleResult]:
    """What the rules of some statements say of the frames in `home`, asked one by one.

    What Great Expectations adds to that takes ten times as long, and is the same of any frame.
    """
    results = []
    for suite in suites_of(statements):
        rows = pd.read_parquet(home / "frames" / f"{suite.name}.parquet")
        for rule in suite.expectations:
            assert isinstance(rule, ParityRule)
            said = rule._validate({"parity.rows": rows})
            result = ExpectationValidationResult(
                success=said["success"],
                expectation_config=rule.configuration,
                result=said["result"],
            )
            results.append(rule_result(result, suite.name))
    return results


def checkpoint(home: Path, statements: Sequence[Statement] = tuple(Statement)) -> Outcome:
    """What Great Expectations' checkpoint says of the frames in `home`, by the same rules."""
    project.write_project(home / "gx", suites_of(statements), {}, [], home / "frames")
    stored = home / "gx" / "checkpoints" / "parity.json"
    without_site = {**orjson.loads(stored.read_bytes()), "actions": []}
    stored.write_bytes(orjson.dumps(without_site))
    return Outcome.of(project.run_checkpoint(home / "gx", home / "gx", "run", datetime.now(UTC)))
