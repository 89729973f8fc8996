"""The journal of a switch: one small file per operation in `ops/cutover/`.

It is flushed to disk before and after every step, so that after a kill the next call knows
what was begun, what the schedules were, and where silver led.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import orjson

from polygon_fundamentals.cutover.reader_checks import Answers
from polygon_fundamentals.cutover.schedules import ScheduleEntry
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import flush_folder, replace_file

VERSION = 1
OPEN, DONE, UNDONE = "open", "done", "undone"
FORWARD, BACK = "forward", "back"
CUTOVER, ROLLBACK, CLEANUP, RESTORE = "cutover", "rollback", "cleanup", "restore"
_STATES, _WAYS = (OPEN, DONE, UNDONE), (FORWARD, BACK)
_KINDS = (CUTOVER, ROLLBACK, CLEANUP, RESTORE)

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(UTC)


class Forced(TypedDict):
    """Why a checklist was passed, and which of its lines were not met."""

    reason: str | None
    unmet: list[str]


class Facts(TypedDict, total=False):
    """What an operation noted in its journal; a key that is not there was not noted yet.

    `schedules` is None where no server is configured, `pointer_before` where there was no pointer.
    Builds of silver stand there by name, in journals of earlier versions by path.
    """

    checked: str
    forced: Forced | None
    schedules: list[ScheduleEntry] | None
    schedules_before_cutover: list[ScheduleEntry] | None
    pointer_before: str | None
    silver_before: str
    silver_after: str
    schema_same: bool | None
    answers: Answers
    answers_before_cutover: Answers
    answers_differ: list[str] | None
    checks_compared: int
    archive: str
    data: bool
    scripts: list[str]
    cron: list[str]
    loaded_since: bool
    placed: bool


class StepEntry(TypedDict, total=False):
    """One step in a journal; `ok`, `detail` and `seconds` are there when it has ended."""

    name: str
    state: str
    at: str
    ok: bool
    detail: str
    seconds: float


@dataclass
class Journal:
    """One operation as it stands; every change is written and flushed at once.

    `facts` hold how things were before anything was changed; a fact once written stays.
    """

    path: Path
    operation: str
    started: str
    parameters: dict[str, object] = field(default_factory=dict)
    state: str = OPEN
    direction: str = FORWARD
    ended: str | None = None
    facts: Facts = field(default_factory=Facts)
    steps: list[StepEntry] = field(default_factory=list)
    message: str = ""

    @classmethod
    def begin(
        cls,
        lake: Lake,
        operation: str,
        parameters: Mapping[str, Any],
        clock: Clock = now,
        facts: Facts | None = None,
    ) -> Journal:
        """Return a new journal, written."""
        # The names are the order: a clock that was set back must not put this before the last.
        earlier = [datetime.fromisoformat(journal.started) for journal in journals(lake)]
        at = max([clock(), *(moment + timedelta(microseconds=1) for moment in earlier)])
        name = f"{at:%Y%m%dT%H%M%S%f}Z-{operation}-{uuid.uuid4().hex[:8]}.json"
        journal = cls(folder(lake) / name, operation, at.isoformat(), dict(parameters))
        journal.facts = Facts(**(facts or {}))
        journal.write()
        return journal

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

    def note(self, facts: Facts) -> None:
        """Write facts down. A fact that is already noted is not overwritten."""
        orjson.dumps(facts)  # what JSON cannot hold is refused before it spoils every write
        if facts.keys() - self.facts.keys():
            self.facts.update(Facts(**{**facts, **self.facts}))
            self.write()

    def step_begins(self, name: str) -> None:
        """Note that a step begins."""
        self.steps.append({"name": name, "state": "begun", "at": now().isoformat()})
        self.write()

    def step_ends(self, state: str, detail: str, seconds: float) -> None:
        """Note how the step that began last ended."""
        self.steps[-1].update(
            {
                "state": state,
                "ok": state != "failed",
                "detail": detail,
                "seconds": round(seconds, 3),
            }
        )
        self.write()

    def turn_back(self, reason: str) -> None:
        """Note that from here on everything is put back."""
        self.direction, self.message = BACK, reason
        self.write()

    def turn_forward(self) -> None:
        """Note that from here on the operation is carried out, where it was being put back."""
        if self.direction != FORWARD:
            self.direction, self.message = FORWARD, ""
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
    try:
        names = sorted(n for n in os.listdir(folder(lake)) if "Z-" in n)
    except FileNotFoundError:
        return []
    names = [name for name in names if not name.startswith(".") and name.endswith(".json")]
    read = [_read(folder(lake) / name, lake) for name in names]
    return [journal for journal in read if operation is None or journal.operation == operation]


def _read(path: Path, lake: Lake) -> Journal:
    try:
        entry = orjson.loads(path.read_bytes())
        entry.pop("version")
        journal = Journal(path=path, **entry)
        msgspec.convert(journal.facts, Facts)
        msgspec.convert(journal.steps, list[StepEntry])
        datetime.fromisoformat(journal.started)
        for word, known in (
            (journal.operation, _KINDS),
            (journal.state, _STATES),
            (journal.direction, _WAYS),
        ):
            if word not in known:
                raise ValueError(f"{word!r} is not one of {', '.join(known)}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DamagedFileError(
            f"{path} is not a readable journal ({reason}); see where {lake.pointer} leads, then "
            "move the file away"
        ) from error
    return journal


def unfinished(lake: Lake, *operations: str) -> Journal | None:
    """Return the operation that was cut off, or None.

    Raises:
        LakeError: it is not one of `operations`, and comes first. (With none given: of any kind.)
    """
    left = next((j for j in reversed(journals(lake)) if j.state == OPEN), None)
    if left is not None and operations and left.operation not in operations:
        raise LakeError(
            f"a {left.operation} was cut off; run "
            f"`polygon-fundamentals {left.operation} --execute` first, which continues it"
        )
    return left


def last_done(lake: Lake, operation: str) -> Journal | None:
    """Return the last operation of a kind that was carried out, or None."""
    return next((j for j in reversed(journals(lake, operation)) if j.state == DONE), None)


def moment(journal: Journal) -> datetime:
    """Return when an operation ended (started, where it has not)."""
    with suppress(ValueError, TypeError):
        return datetime.fromisoformat(str(journal.ended))
    return datetime.fromisoformat(journal.started)
