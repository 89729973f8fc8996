"""Results on disk: one JSON object a line, appended as each measurement ends.

A measurement that is there is not made again, so a run that was cut off goes on where it
stopped; one that failed, or whose tool was missing, is tried again.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Key = tuple[str, str, str, int, int]  # kind, generation, tool, companies, run


@dataclass(frozen=True)
class Row:
    """One measurement; `missing` or `failed` says why there is none."""

    kind: str
    generation: str
    tool: str
    companies: int
    run: int
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    peak_is: str = ""
    requests: int = 0
    records: int = 0
    files: int = 0
    bytes: int = 0
    inside: float | None = None
    missing: str | None = None
    failed: str | None = None
    told: dict[str, Any] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def key(self) -> Key:
        """What makes it this measurement and not another."""
        return (self.kind, self.generation, self.tool, self.companies, self.run)

    @property
    def good(self) -> bool:
        """Whether it holds numbers."""
        return self.missing is None and self.failed is None


class Results:
    """The file `results.jsonl` of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "results.jsonl"

    def rows(self) -> list[Row]:
        """Return the newest row of every measurement, in the order of their first try."""
        found: dict[Key, Row] = {}
        if self.file.exists():
            for line in self.file.read_text().splitlines():
                row = Row(**json.loads(line))
                found[row.key] = row
        return list(found.values())

    def has(self, key: Key) -> bool:
        """Whether a measurement was made."""
        return any(row.key == key and row.good for row in self.rows())

    def add(self, row: Row) -> Row:
        """Append a measurement."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stamped = asdict(row) | {"machine": machine(), "at": datetime.now(UTC).isoformat()}
        with self.file.open("a") as file:
            file.write(json.dumps(stamped) + "\n")
        return Row(**stamped)


def machine() -> dict[str, Any]:
    """Return the machine in general terms: no names, no paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": ".".join(map(str, sys.version_info[:3])),
    }
