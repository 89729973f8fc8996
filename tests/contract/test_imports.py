"""The rooms of the house: what each may import, and that every import runs down.

A room is a package (or a single file) below `src/polygon_fundamentals`, or a folder beside it. Add
a line to `ROOMS` for a new room, below every room that imports it. A room that needs another one
on its line is a decision about the house: see docs/architecture.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.imports import (
    LIBRARY,
    OUTSIDE,
    ROOT,
    Project,
    circles,
    imported_names,
    room_of,
    small_project,
)

# Errors, counts, names, settings and locks: every room of the library may use them.
GROUND = "business_days errors keys locks places reports settings settings_file statements"
THE_LIBRARY = (
    "cutover v1_view parity status publish silver load reference ledger tickers periods lake "
    f"normalise http datasets field_map server {GROUND}"
)
# From the top floor down: room → the rooms that it may import.
ROOMS = {
    room: frozenset(allowed.split())
    for room, allowed in {
        "benchmarks": f"flows tasks expectations deployments sandbox {THE_LIBRARY}",
        "campaign": f"flows tasks expectations deployments sandbox {THE_LIBRARY}",
        "flows": f"tasks deployments sandbox {THE_LIBRARY}",
        "tasks": f"expectations {THE_LIBRARY}",
        "expectations": THE_LIBRARY,
        "deployments": THE_LIBRARY,
        "sandbox": "",
        LIBRARY: "",
        "console": "",
        "status": f"ledger lake datasets {GROUND}",
        "cutover": f"silver ledger lake datasets {GROUND}",
        "v1_view": f"silver periods lake normalise datasets field_map {GROUND}",
        "parity": f"periods reference lake datasets field_map {GROUND}",
        "publish": f"silver ledger periods lake datasets {GROUND}",
        "silver": f"periods reference lake datasets field_map {GROUND}",
        "load": f"http normalise lake datasets {GROUND}",
        "reference": f"http lake datasets {GROUND}",
        "ledger": f"lake {GROUND}",
        "tickers": f"lake {GROUND}",
        "periods": f"lake datasets field_map {GROUND}",
        "lake": f"normalise datasets {GROUND}",
        "normalise": f"datasets field_map {GROUND}",
        "http": "reports settings keys locks errors statements",
        "datasets": f"field_map {GROUND}",
        "field_map": "errors statements",
        "server": "",
        "locks": "errors",
        "settings": "errors keys places",
        "places": "errors",
        "settings_file": "errors",
        "keys": "errors",
        "business_days": "",
        "reports": "errors",
        "statements": "",
        "errors": "",
    }.items()
}
# Known exceptions, each with the reason why it is not mended yet.
FORBIDDEN_ARROWS = {
    # A file name and the question's form; they leave with the rewriting of parity's flow.
    ("flows.parity", "expectations.answer"),
    ("flows.parity", "expectations.summary"),
}
CIRCLES = {
    # For type checkers alone: a Sandbox is named where the server answers for it.
    ("sandbox.answers", "sandbox.core", "sandbox.edgar", "sandbox.server"),
    ("sandbox.plant", "sandbox.world"),
    # The demo runs other commands through `main`, which it imports when it does so.
    ("flows.__main__", "flows.commands", "flows.commands.demo", "flows.commands.parser"),
}


@pytest.fixture(scope="module")
def project() -> Project:
    return Project(ROOT, OUTSIDE)


def broken(project: Project, rooms: Mapping[str, frozenset[str]]) -> set[tuple[str, str]]:
    """Return the imports that the importing room's line does not name."""
    return {
        (name, other)
        for name, other in project.arrows()
        if room_of(other) not in rooms.get(room_of(name), frozenset())
    }


def test_every_room_has_its_line(project: Project) -> None:
    assert set(project.rooms) == set(ROOMS)
    assert len(project.modules) > 150


def test_no_room_imports_what_its_line_does_not_name(project: Project) -> None:
    assert broken(project, ROOMS) == FORBIDDEN_ARROWS


def test_every_line_names_only_rooms_below_it() -> None:
    floors = list(ROOMS)
    upward = {
        (room, other)
        for room, allowed in ROOMS.items()
        for other in allowed
        if floors.index(other) <= floors.index(room)
    }
    assert upward == set()


def test_no_modules_and_no_rooms_import_in_a_circle(project: Project) -> None:
    assert {tuple(group) for group in circles(project.imports)} == CIRCLES
    rooms: dict[str, set[str]] = {}
    for name, other in project.arrows():
        rooms.setdefault(room_of(name), set()).add(room_of(other))
    assert circles(rooms) == []


def test_the_library_never_imports_prefect_or_great_expectations(project: Project) -> None:
    library = {n: p for n, p in project.modules.items() if n.startswith(LIBRARY)}
    wrong = {
        name
        for name, path in library.items()
        for words in imported_names(path, name)
        if words[0] in ("prefect", "great_expectations")
    }
    assert wrong == set()


def test_one_module_reads_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "src" / LIBRARY).rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)", path.read_text(encoding="utf-8"))
    }
    assert readers == {f"src/{LIBRARY}/settings.py"}


def test_no_test_imports_from_another_test() -> None:
    """What two tests share stands in tests/builders, or in a module of its own beside them."""
    named = re.compile(r"^\s*(?:from|import) +tests\b.*\b(test_\w+)", re.M)
    wrong = {
        (path, other)
        for path in (ROOT / "tests").rglob("*.py")
        for other in named.findall(path.read_text(encoding="utf-8"))
        if other != path.stem  # a process of its own that a test starts may import it
    }
    assert wrong == set()


# Each check fires: on a small project with one fault.
LINES = {"flows": frozenset({"lake"}), "lake": frozenset({"errors"})}


def test_the_small_project_is_right(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    assert list(project.arrows()) == [
        ("flows.load", "polygon_fundamentals.lake.read"),
        ("polygon_fundamentals.lake.read", "polygon_fundamentals.errors"),
    ]
    assert (broken(project, LINES), circles(project.imports)) == (set(), [])


@pytest.mark.parametrize(
    "text",
    [
        "import flows.load",
        "from flows import load",
        "def f():\n    from flows.load import lake",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flows import load",
    ],
)
def test_an_import_that_the_line_does_not_name_is_seen(text: str, tmp_path: Path) -> None:
    project = small_project(tmp_path, lake_read=text)
    assert broken(project, LINES) == {("polygon_fundamentals.lake.read", "flows.load")}


def test_an_import_from_a_room_without_a_line_is_seen(tmp_path: Path) -> None:
    project = small_project(tmp_path, polygon_fundamentals_errors="from .lake import read")
    wrong = ("polygon_fundamentals.errors", "polygon_fundamentals.lake.read")
    assert broken(project, LINES) == {wrong}


def test_a_circle_is_seen(tmp_path: Path) -> None:
    circle = "def f():\n    from polygon_fundamentals.lake.read import read"
    project = small_project(tmp_path, polygon_fundamentals_errors=circle)
    assert circles(project.imports) == [
        ["polygon_fundamentals.errors", "polygon_fundamentals.lake.read"]
    ]
