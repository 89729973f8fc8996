"""The help fits into the terminal that it is read in."""

from __future__ import annotations

import pytest

from flows.commands import COMMANDS
from flows.commands.parser import parser


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("program", ["python -m flows", "polygon-fundamentals"])
def test_the_help_is_no_wider_than_the_terminal(
    columns: int, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = parser(program).format_help()
    assert [line for line in text.splitlines() if len(line) > columns] == []
    assert [name for name in COMMANDS if f"    {name} " not in text] == []
    assert "\x1b" not in text
