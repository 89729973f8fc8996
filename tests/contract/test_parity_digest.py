"""The digest of parity's cache covers all code and data that a comparison depends on.

Forget a room, and what other code found passes for found today, in silence.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.contract.imports import LIBRARY, ROOT, Project, room_of

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
    "places",
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


def must_be_covered(source: Path) -> list[Path]:
    """Return the files that parity reaches, with the other files of their rooms, data too."""
    project = Project(source.parent, [])
    reached, new = set[str](), set(project.rooms["parity"])
    while new:
        reached |= new
        new = {other for name in new for other in project.imports[name]} - reached
    rooms = {room_of(name) for name in reached} - WITHOUT_INFLUENCE
    assert len(rooms) >= 4
    return [
        path
        for path in sorted((source / LIBRARY).rglob("*"))
        if path.is_file()
        and path.relative_to(source / LIBRARY).with_suffix("").parts[0] in rooms
        and path.suffix not in (".pyc", ".md", ".typed")
    ]


def uncovered(source: Path) -> list[str]:
    """Return the files whose change leaves the digest of a copy of the library as it is."""
    done = subprocess.run(
        [sys.executable, "-c", CHANGES],
        input=json.dumps([str(path) for path in must_be_covered(source)]),
        env={"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [str(Path(path).relative_to(source / LIBRARY)) for path in json.loads(done.stdout)]


def test_every_file_is_in_the_digest_but_those_of_a_room_that_it_forgets(tmp_path: Path) -> None:
    source = tmp_path / "src"
    ignored = shutil.ignore_patterns("__pycache__", "sandbox")
    library = shutil.copytree(ROOT / "src" / LIBRARY, source / LIBRARY, ignore=ignored)
    (library / "planted").mkdir()
    (library / "planted" / "__init__.py").write_text("RULE = 1\n")
    (library / "planted" / "rules.csv").write_text("a,b\n")
    with (library / "field_map" / "__init__.py").open("a") as file:
        file.write("\n\ndef rule():\n    from ..planted import RULE\n\n    return RULE\n")
    assert uncovered(source) == ["planted/__init__.py", "planted/rules.csv"]
