"""Reading what the project's modules import, as the tests of its walls need it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = "polygon_fundamentals"
OUTSIDE = ("benchmarks", "campaign", "flows", "tasks", "expectations", "deployments", "sandbox")


@dataclass(frozen=True)
class Project:
    """The modules of a source tree and what each imports of the others.

    Every import counts: inside functions, under `TYPE_CHECKING`, of `from . import x`.
    """

    root: Path
    outside: Sequence[str]

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Module's name → its file, of the library and of the rooms beside it."""
        found = {}
        for above, top in [(self.root / "src", LIBRARY), *((self.root, o) for o in self.outside)]:
            for path in sorted((above / top).rglob("*.py")):
                words = path.relative_to(above).with_suffix("").parts
                found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
        return found

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Module → the modules of this project that it imports."""
        return {
            name: {
                module
                for words in imported_names(path, name)
                if (module := self._module(words)) and module != name
            }
            for name, path in self.modules.items()
        }

    @cached_property
    def rooms(self) -> dict[str, set[str]]:
        """Room → its modules."""
        found: dict[str, set[str]] = {}
        for name in self.modules:
            found.setdefault(room_of(name), set()).add(name)
        return found

    def arrows(self) -> Iterator[tuple[str, str]]:
        """Yield (importing, imported) for every import between two rooms."""
        for name, others in sorted(self.imports.items()):
            yield from (
                (name, other) for other in sorted(others) if room_of(other) != room_of(name)
            )

    def _module(self, words: Sequence[str]) -> str | None:
        """Return the longest module that a dotted name begins with."""
        names = (".".join(words[:length]) for length in range(len(words), 0, -1))
        return next((name for name in names if name in self.modules), None)


@cache
def imported_names(path: Path, module: str) -> list[list[str]]:
    """Return the words of every name that a file imports, relative ones made absolute."""
    modules: list[list[str]] = []
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            start += node.module.split(".") if node.module else []
            modules += [[*start, alias.name] for alias in node.names]
    return modules


def room_of(module: str) -> str:
    """Return the room of a module: the package below the library, or the folder beside it."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == LIBRARY and rest else first


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of names that reach each other, each sorted (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in arrows.get(name, ()):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            at = stack.index(name)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                found.append(sorted(group))

    for name in arrows:
        if name not in order:
            visit(name)
    return sorted(found)


# A small project, for the tests to put one fault into.
TREE = {
    "src/polygon_fundamentals/__init__.py": "",
    "src/polygon_fundamentals/errors.py": "",
    "src/polygon_fundamentals/lake/__init__.py": "from polygon_fundamentals.lake.read import read",
    "src/polygon_fundamentals/lake/read.py": "from ..errors import __name__ as read",
    "flows/__init__.py": "",
    "flows/load.py": "import polygon_fundamentals.lake.read",
}


def small_project(folder: Path, **changed: str) -> Project:
    """Write the small project, with files changed, and return it: `lake_read` is lake/read.py."""
    for name, text in TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        key = "_".join(Path(name).with_suffix("").parts[-2:])
        path.write_text(changed.get(key, text))
    return Project(folder, ["flows"])
