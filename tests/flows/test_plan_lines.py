"""The lines of the migration plan, with the program's name changed, from `/` as cron runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import counts
from sandbox import Sandbox
from tests.conftest import KEY
from tests.console import from_cron

WITH_DATES = "--filing-date-gte 2025-01-01"
# The plan writes `quantmini polygon fundamentals`; its variables are those of its scripts.
LINES = [
    (f"polygon-fundamentals fundamentals $TICKERS {WITH_DATES}", "v1"),
    (f"polygon-fundamentals fundamentals $TICKERS {WITH_DATES} --use-v2", "v2"),
    (
        'polygon-fundamentals fundamentals "$TICKER" --timeframe quarterly '
        '--filing-date-gte "2010-01-01" --filing-date-lt "2026-01-01" '
        '--output-dir "$BRONZE_DIR/fundamentals_v2" --use-v2 2>&1 | tee -a "$LOG_FILE" &\nwait',
        "v2",
    ),
    (
        "polygon-fundamentals fundamentals $FUNDAMENTAL_TICKERS --timeframe quarterly "
        "--filing-date-gte $FILING_DATE_GTE --output-dir $BRONZE_DIR/fundamentals_v2 --use-v2",
        "v2",
    ),
]


def environment(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    lake, names = folder / "lake", sandbox.tickers[:2]
    return {
        "POLYGON_API_KEY": KEY,
        "POLYGON_BASE_URL": sandbox.url,
        "QUANTLAKE_ROOT": str(lake),
        "BRONZE_DIR": str(lake / "bronze"),
        "LOG_FILE": str(folder / "load.log"),
        "TICKERS": " ".join(names),
        "FUNDAMENTAL_TICKERS": " ".join(names),
        "TICKER": names[0],
        "FILING_DATE_GTE": "2025-01-01",
    }


@pytest.mark.slow
@pytest.mark.parametrize(("line", "generation"), LINES)
def test_a_line_of_the_plan_loads_what_it_names(
    line: str, generation: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    done = from_cron(line, tmp_path, environment(sandbox, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"lake: {tmp_path / 'lake'}\n" in done.stdout
    found = {(d.generation.value, d.records > 0) for d in counts(Lake(tmp_path / "lake"))}
    assert {name for name, some in found if some} == {generation}
    assert list((tmp_path / "lake" / "bronze").rglob("bronze")) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "polygon-fundamentals fundamentals AAPL --output-dir $BRONZE_DIR/fundamentals_v2",
            "would load v1: add --use-v2",
        ),
        (
            "polygon-fundamentals fundamentals AAPL --use-v2 --output-dir $BRONZE_DIR",
            "named like a part of one",
        ),
        ("polygon-fundamentals fundamentals --use-v2", "name a ticker"),
        ("polygon-fundamentals fundamentals AAPL --timeframe monthly", "invalid choice"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused_with_the_reason(
    line: str, reason: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    done = from_cron(line, tmp_path, environment(sandbox, tmp_path))
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (tmp_path / "lake").exists()
