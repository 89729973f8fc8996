"""Imports run one way: flows → tasks → expectations → library; the library knows no Prefect."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src" / "polygon_fundamentals"
# Which rooms a room may import from, beside itself.
ALLOWED = {
    "library": set(),
    "expectations": {"polygon_fundamentals"},
    "tasks": {"polygon_fundamentals", "expectations"},
    "flows": {"polygon_fundamentals", "expectations", "tasks", "deployments", "sandbox"},
    "deployments": {"polygon_fundamentals"},
    "sandbox": set(),
}
ROOMS = {"polygon_fundamentals", "tests", *ALLOWED} - {"library"}


def imported(path: Path) -> set[str]:
    """Return the first words of all that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def broken(room: str, folder: Path) -> list[str]:
    """Return `file imports X` for every import that the room may not make."""
    own = "polygon_fundamentals" if room == "library" else room
    allowed = {own, *ALLOWED[room]}
    return [
        f"{path.name} imports {name}"
        for path in sorted(folder.rglob("*.py"))
        for name in sorted(imported(path) & ROOMS - allowed)
    ]


@pytest.mark.parametrize("room", list(ALLOWED))
def test_imports_run_one_way(room: str) -> None:
    folder = LIBRARY if room == "library" else ROOT / room
    assert broken(room, folder) == []


def test_the_library_never_imports_prefect_or_great_expectations() -> None:
    files = sorted(LIBRARY.rglob("*.py"))
    assert len(files) > 30
    assert [p.name for p in files if imported(p) & {"prefect", "great_expectations"}] == []


def test_one_module_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in LIBRARY.rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)", path.read_text(encoding="utf-8"))
    }
    assert readers == {"src/polygon_fundamentals/settings.py"}


def test_the_check_sees_a_wrong_import(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def f():\n    from flows import x\n")
    assert broken("library", tmp_path) == ["wrong.py imports flows"]
