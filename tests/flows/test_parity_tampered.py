"""The frame of values changed between the comparison and the rules: the command says no."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations import answer as answering
from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.kinds import COVERAGE_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call
from tests.conftest import KEY
from tests.filled import change_rows, fill, set_column

BUDGETS = load_tolerances(TOLERANCES_FILE).budgets
NOT_ALLOWED = [k.value for k, b in BUDGETS.items() if b.at_most == 0 and k not in COVERAGE_KINDS]
MAY_STAND = [
    k.value for k in DIFFERENCE_KINDS if BUDGETS[k].at_most != 0 and k is not Kind.ACCEPTED
]
FIELDS = {
    Statement.BALANCE_SHEETS: "total_assets",
    Statement.CASH_FLOW: "net_cash_from_investing_activities_continuing_operations",
    Statement.INCOME_STATEMENTS: "research_development",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that passes, with a value in each statement that is off by some cents."""
    lake = Lake(tmp_path_factory.mktemp("tampered") / "lake")
    lake.prepare()
    with Sandbox(companies=2, seed=3, api_key=KEY, quirks=False, start=date(2024, 1, 1)) as server:
        fill(lake, server, server.tickers)
    for statement, field in FIELDS.items():

        def near(table: pa.Table, field: str = field) -> list[object]:
            return [v and v + 0.25 for v in table[field].to_pylist()]

        assert change_rows(lake, Generation.V2, statement, set_column(field, near)) == 0
    return lake


def asked(lake: Lake) -> tuple[int, dict[str, Any]]:
    return call("parity", "--lake", str(lake.root), "--base-url", "http://127.0.0.1:9")


def tamper(monkeypatch: pytest.MonkeyPatch, change: Callable[[pd.DataFrame], None]) -> None:
    """Change a row of the frame of values after it has been written."""
    write = answering.write_frames

    def then_tamper(folder: Path, *rest: Any) -> dict[str, int]:
        rows = write(folder, *rest)
        path = folder / "values.parquet"
        schema = pq.read_schema(path)
        frame = pq.read_table(path).to_pandas()
        frame["finding"] = frame["finding"].astype(object)
        change(frame)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table.cast(schema), path)
        return rows

    monkeypatch.setattr(answering, "write_frames", then_tamper)


def test_untouched_it_passes(compared: Lake) -> None:
    code, answer = asked(compared)
    assert (code, answer["passed"]) == (0, True)
    assert answer["differences"]["rounding"] >= 3


@pytest.mark.parametrize("statement", list(Statement))
def test_a_changed_value_fails_the_command(
    compared: Lake, monkeypatch: pytest.MonkeyPatch, statement: Statement
) -> None:
    def change(frame: pd.DataFrame) -> None:
        mine = frame["ticker"].notna() & (frame["statement"] == statement.value)
        row = frame.index[mine & (frame["finding"] == "rounding")][0]
        frame.loc[row, "v2_value"] = 9e9

    tamper(monkeypatch, change)
    code, answer = asked(compared)
    assert (code, answer["passed"]) == (1, False)
    [broken] = answer["rules_broken"]
    assert broken["rule"].startswith("Values are equal, or their difference has a finding")
    assert (broken["statement"], broken["count"]) == (statement.value, 1)


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        *(("unexplained", statement) for statement in Statement),
        *zip([k for k in NOT_ALLOWED if k != "unexplained"], cycle(Statement), strict=False),
    ],
)
def test_a_finding_renamed_to_one_that_may_not_stand_fails_the_command(
    compared: Lake, monkeypatch: pytest.MonkeyPatch, kind: str, statement: Statement
) -> None:
    def change(frame: pd.DataFrame) -> None:
        mine = frame["ticker"].notna() & (frame["statement"] == statement.value)
        row = frame.index[mine & (frame["finding"] == "rounding")][0]
        frame.loc[row, "finding"] = kind

    tamper(monkeypatch, change)
    code, answer = asked(compared)
    assert (code, answer["passed"]) == (1, False)
    # The row is not as it was compared, and the finding is over its budget.
    broken = [(b["detail"], b["count"]) for b in answer["rules_broken"]]
    assert broken == [(FIELDS[statement], 1), (kind, 1)]


@pytest.mark.parametrize(("kind", "statement"), zip(MAY_STAND, cycle(Statement), strict=False))
def test_a_value_changed_with_its_difference_under_a_finding_that_may_stand_fails_the_command(
    compared: Lake, monkeypatch: pytest.MonkeyPatch, kind: str, statement: Statement
) -> None:
    def change(frame: pd.DataFrame) -> None:
        mine = frame["ticker"].notna() & (frame["statement"] == statement.value)
        row = frame.index[mine & (frame["finding"] == "rounding")][0]
        frame.loc[row, ["v2_value", "difference"]] = 9e9, 9e9 - frame.loc[row, "v1_value"]
        frame.loc[row, "finding"] = kind

    tamper(monkeypatch, change)
    code, answer = asked(compared)
    assert (code, answer["passed"]) == (1, False)
    broken = [(b["statement"], b["detail"], b["count"]) for b in answer["rules_broken"]]
    assert broken == [(statement.value, FIELDS[statement], 1)]
