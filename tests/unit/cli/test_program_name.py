"""A message names the program as the user called it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console import from_cron


@pytest.mark.parametrize(
    ("program", "named"),
    [("polygon-fundamentals", "polygon-fundamentals demo"), ("python", "python -m flows demo")],
)
def test_the_remedy_can_be_typed(program: str, named: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    words = "fundamentals AAPL"
    line = f"polygon-fundamentals {words}"
    if program == "python":
        import sys

        line = f"cd {root} && {sys.executable} -m flows {words}"
    done = from_cron(line, tmp_path, {"QUANTLAKE_ROOT": str(tmp_path / "lake")})
    assert done.returncode == 2
    assert f"`{named}`" in done.stderr
