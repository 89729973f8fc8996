"""The journal of a switch: one small file an operation in `ops/cutover/`.

It is flushed to disk before and after every step, so that after a kill the next call knows
what was begun, what the schedules were, and where silver led.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import flush_folder, replace_file

VERSION = 1
OPEN, DONE, UNDONE = "open", "done", "undone"
FORWARD, BACK = "forward", "back"
CUTOVER, ROLLBACK, CLEANUP, RESTORE = "cutover", "rollback", "cleanup", "restore"

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


@dataclass
class Journal:
    """One operation as it stands; every change is written and flushed at once.

    `facts` hold what was found before anything was changed; a fact once written stays.
    """

    path: Path
    operation: str
    started: str
    parameters: dict[str, Any] = field(default_factory=dict)
    state: str = OPEN
    direction: str = FORWARD
    ended: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    message: str = ""

    @classmethod
    def begin(
        cls,
        lake: Lake,
        operation: str,
        parameters: Mapping[str, Any],
        clock: Clock = now,
        facts: Mapping[str, Any] | None = None,
    ) -> Journal:
        """Return a new journal, written."""
        at = clock()
        name = f"{at:%Y%m%dT%H%M%S%f}Z-{operation}-{uuid.uuid4().hex[:8]}.json"
        found = cls(folder(lake) / name, operation, at.isoformat(), dict(parameters))
        found.facts.update(facts or {})
        found.write()
        return found

    @property
    def id(self) -> str:
        """The name of the journal, without its folder."""
        return self.path.stem

    def write(self) -> None:
        """Write the journal and flush it, its folder entry too."""
        entry = {name: value for name, value in vars(self).items() if name != "path"}
        text = orjson.dumps({"version": VERSION, **entry}, option=orjson.OPT_INDENT_2)
        replace_file(self.path, text)
        flush_folder(self.path.parent)

    def fact(self, name: str, value: Any) -> Any:
        """Keep a fact unless it is there already; return the one that stands."""
        if name not in self.facts:
            orjson.dumps(value)  # what JSON cannot hold is refused before it spoils every write
            self.facts[name] = value
            self.write()
        return self.facts[name]

    def step_begins(self, name: str) -> None:
        """Note that a step begins."""
        self.steps.append({"name": name, "state": "begun", "at": now().isoformat()})
        self.write()

    def step_ends(self, state: str, detail: str, seconds: float) -> None:
        """Note how the step that began last ended."""
        self.steps[-1].update(
            state=state, ok=state != "failed", detail=detail, seconds=round(seconds, 3)
        )
        self.write()

    def turn_back(self, reason: str) -> None:
        """Note that from here on everything is put back."""
        self.direction, self.message = BACK, reason
        self.write()

    def close(self, state: str, message: str, clock: Clock = now) -> None:
        """End the operation."""
        self.state, self.message, self.ended = state, message, clock().isoformat()
        self.write()


def folder(lake: Lake) -> Path:
    """Return `ops/cutover`."""
    return lake.ops / "cutover"


def journals(lake: Lake, operation: str | None = None) -> list[Journal]:
    """Return the journals of a lake, oldest first.

    Raises:
        DamagedFileError: one cannot be read; it is named.
    """
    found = []
    try:
        names = sorted(n for n in os.listdir(folder(lake)) if "Z-" in n)
    except FileNotFoundError:
        return []
    for name in names:
        if name.startswith(".") or not name.endswith(".json"):
            continue
        path = folder(lake) / name
        try:
            entry = orjson.loads(path.read_bytes())
            entry.pop("version")
            journal = Journal(path=path, **entry)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise DamagedFileError(
                f"{path} is no readable journal; look at where {lake.pointer} leads, then move "
                "the file away"
            ) from error
        if operation is None or journal.operation == operation:
            found.append(journal)
    return found


def unfinished(lake: Lake) -> Journal | None:
    """Return the operation that was cut off, or None."""
    return next((j for j in reversed(journals(lake)) if j.state == OPEN), None)


def last_done(lake: Lake, operation: str) -> Journal | None:
    """Return the last operation of a kind that was carried out, or None."""
    return next((j for j in reversed(journals(lake, operation)) if j.state == DONE), None)


def moment(journal: Journal) -> datetime:
    """Return when an operation ended (started, where it has not)."""
    with suppress(ValueError, TypeError):
        return datetime.fromisoformat(str(journal.ended))
    return datetime.fromisoformat(journal.started)
