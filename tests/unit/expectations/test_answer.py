"""What a run leaves beside the data, and what it removes of older runs."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from expectations import answer as answering
from expectations.answer import TOLERANCES_FILE
from expectations.summary import Asked
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.filled import comparison

TODAY = date(2026, 10, 1)


@pytest.mark.slow
def test_old_reports_go_and_of_the_others_only_the_newest_has_a_csv(
    whole_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "REPORTS_KEPT", 2)
    tolerances = load_tolerances(TOLERANCES_FILE)
    question = Question(tolerances, (), {}, TODAY)
    founds = [comparison(whole_lake, statement, question).findings for statement in Statement]
    lake = Lake(tmp_path / "lake")
    for run in range(3):
        asked = Asked(f"run{run}", 3, None, None, False, TODAY, False)
        told = answering.answer(lake, founds, asked, tolerances, ())
        # Runs of the same second are told apart by their names, which need not be in turn.
        report = Path(told["report_folder"])
        if run < 2:
            report.rename(report.with_name(f"2026010{run}T000000Z-run{run}"))

    reports = sorted((lake.ops / "parity" / "reports").iterdir())
    assert [folder.name.split("-")[1] for folder in reports] == ["run0", "run1", "run2"]
    assert [path.name for path in reports[0].iterdir()] == ["summary.json"]
    assert [(folder / "values.csv").exists() for folder in reports] == [False, False, True]
    listed = pd.read_csv(told["report_csv"])
    assert len(listed) == len(pd.read_parquet(told["report"])) > 0
    assert all((folder / "values.parquet").exists() for folder in reports[1:])
