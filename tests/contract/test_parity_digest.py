"""The digest of parity's cache covers all code and data that a comparison depends on.

Forget a room, and what other code found passes for found today, in silence.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polygon_fundamentals

LIBRARY = Path(polygon_fundamentals.__file__).parent
# What parity reaches and no value, pair or explanation depends on: names, errors, counters of what
# a commit wrote, locks, how files are read whose content is in the keys of the cache, where
# the lake is, and the companies' reference data, which is in the cache's keys itself.
WITHOUT_INFLUENCE = {
    "__init__",
    "business_days",
    "reports",
    "errors",
    "http",
    "keys",
    "locks",
    "reference",
    "settings",
    "settings_file",
    "statements",
}
# In one process: what each file's change does to the digest.
CHANGES = """
import importlib, inspect, json, pkgutil, sys
from pathlib import Path
import polygon_fundamentals.parity as parity
names = [m.name for m in pkgutil.iter_modules(parity.__path__, parity.__name__ + ".")]
modules = [importlib.import_module(name) for name in names]
digest = inspect.unwrap(next(m.code_digest for m in modules if hasattr(m, "code_digest")))
before, uncovered = digest(), []
for file in map(Path, json.load(sys.stdin)):
    content = file.read_bytes()
    file.write_bytes(content + b"\\n")
    if digest() == before:
        uncovered.append(str(file))
    file.write_bytes(content)
print(json.dumps(uncovered))
"""


def imported(path: Path, library: Path) -> Iterator[Path]:
    """Yield the library's files that a file imports, inside functions too."""
    package = path.relative_to(library).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ("polygon_fundamentals", *package)[: len(package) + 2 - node.level]
            start = [*(above if node.level else ()), *(node.module or "").split(".")]
            names = [[*filter(None, start), *more.name.split(".")] for more in node.names]
        for words in names:
            if words[0] == "polygon_fundamentals":
                for length in range(2, len(words) + 1):
                    yield from found(library.joinpath(*words[1:length]))


def found(name: Path) -> Iterator[Path]:
    """Yield the file of a module, or of a package."""
    yield from (p for p in (name.with_suffix(".py"), name / "__init__.py") if p.is_file())


def room(path: Path, library: Path) -> str:
    return path.relative_to(library).with_suffix("").parts[0]


def must_be_covered(library: Path) -> list[Path]:
    """Return the files that parity reaches, with the other files of their rooms, data too."""
    reached, new = set[Path](), set((library / "parity").rglob("*.py"))
    while new:
        reached |= new
        new = {file for path in new for file in imported(path, library)} - reached
    rooms = {room(path, library) for path in reached} - WITHOUT_INFLUENCE
    return [
        path
        for path in sorted(library.rglob("*"))
        if path.is_file()
        and room(path, library) in rooms
        and path.suffix not in (".pyc", ".md", ".typed")
    ]


def uncovered(library: Path) -> list[str]:
    """Return the files whose change leaves the digest of a copy of the library as it is."""
    files = must_be_covered(library)
    assert len({room(path, library) for path in files}) >= 4
    done = subprocess.run(
        [sys.executable, "-c", CHANGES],
        input=json.dumps([str(path) for path in files]),
        env={"PYTHONPATH": str(library.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [str(Path(path).relative_to(library)) for path in json.loads(done.stdout)]


def copied(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "sandbox")
    return shutil.copytree(LIBRARY, tmp_path / LIBRARY.name, ignore=ignored)


def test_every_file_that_a_comparison_depends_on_is_in_the_digest(tmp_path: Path) -> None:
    assert uncovered(copied(tmp_path)) == []


def test_a_room_that_the_digest_forgets_is_seen(tmp_path: Path) -> None:
    library = copied(tmp_path)
    (library / "planted").mkdir()
    (library / "planted" / "__init__.py").write_text("RULE = 1\n")
    (library / "planted" / "rules.csv").write_text("a,b\n")
    with (library / "field_map" / "__init__.py").open("a") as file:
        file.write("\n\ndef rule():\n    from ..planted import RULE\n\n    return RULE\n")
    assert uncovered(library) == ["planted/__init__.py", "planted/rules.csv"]
