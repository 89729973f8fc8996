"""The entries of the run ledger: one JSON file per run in `ops/runs/`, read into one record."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import boot_id, process_namespace
from polygon_fundamentals.ledger.earlier_errors import error_class
from polygon_fundamentals.ledger.process import process_started
from polygon_fundamentals.reports import WindowReport
from polygon_fundamentals.statements import Generation

SILENT_SECONDS = 300.0
RUNNING, SUCCEEDED, FAILED, CRASHED, INTERRUPTED = (
    "running",
    "succeeded",
    "failed",
    "crashed",
    "interrupted",
)

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True)
class ParityResult:
    """What a run of `parity` answered; `sample` is None where the whole history was compared.

    `tickers_total` are v1's. Those were compared that have a value and that v2 has too;
    `tickers_not_compared` counts those that v2 lacks, by what became of them. `report` is the file
    of the values that are not matched, where the lake was at that time.
    """

    passed: bool
    tickers_compared: int | None = None
    tickers_total: int | None = None
    tickers_not_compared: Mapping[str, int] = field(default_factory=dict)
    sample: int | None = None
    report: str = ""


@dataclass(frozen=True)
class DrillResult:
    """What a run of `drill` answered; `checks` readers' checks compared a figure.

    `schema_same` is None where the drill ended before both builds of silver were compared.
    """

    passed: bool
    schema_same: bool | None = None
    answers_differ: tuple[str, ...] = ()
    checks: int = 0


@dataclass(frozen=True)
class RunEntry:
    """One run as the ledger has it; `path` is its file, `content` what the file holds.

    `generations` has a report for each generation that a load took part in, and is empty for runs
    of other flows and for loads that ended in an error. `parity` and `drill` are None unless a run
    of that flow ended with an answer; `nothing_to_compare` is a parity's of a lake with v2 alone.
    `records` counts the lake's records by generation and statement, as a daily update left them.
    `repaired` says what a load set right before it began.
    """

    flow: str
    outcome: str
    started: Moment
    parameters: Mapping[str, Any]
    run: str = ""
    ended: Moment | None = None
    seconds: float = 0.0
    message: str = ""
    flow_run_id: str | None = None
    host: str = ""
    pid: int = 0
    process_started: str | None = None
    process_namespace: str | None = None
    peak_memory_bytes: int = 0
    requests_per_minute: int | None = None
    scheduled: Moment | None = None
    records: Mapping[Generation, Mapping[str, int]] = field(default_factory=dict)
    generations: Mapping[Generation, WindowReport] = field(default_factory=dict)
    parity: ParityResult | None = None
    nothing_to_compare: bool = False
    drill: DrillResult | None = None
    repaired: tuple[str, ...] = ()
    path: Path = Path()
    content: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Mapping[str, Any], path: Path = Path()) -> RunEntry:
        """Return the entry that a file holds, written by this version or an earlier one.

        Raises:
            ValueError: a value that every entry has is missing, or a value has another type.
        """
        try:
            entry = msgspec.convert(_as_written_today(content), cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        for report in entry.generations.values():
            for day in report.window.values():
                date.fromisoformat(day)  # raises ValueError: the entry counts as unreadable
        return replace(entry, path=path, content=content)

    @property
    def is_running(self) -> bool:
        """Whether the run is not closed; it may have died, see `is_dead`."""
        return self.outcome == RUNNING

    @property
    def last_moment(self) -> datetime:
        """When the run ended; when it started, while it goes on."""
        return self.ended or self.started

    @property
    def done_file(self) -> Path:
        """The list of its units that are done, one per line; there while it may be resumed."""
        return self.path.with_suffix(".done")

    def asked_for(self, generation: Generation) -> bool:
        """Return whether the run's parameters include a generation."""
        return self.parameters.get("generation") in (generation.value, "both")


def _as_written_today(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's content with what entries of earlier versions lack."""
    known = {name: value for name, value in content.items() if value is not None}
    generations = known.get("generations", {})
    answered = "passed" in known
    return {
        **known,
        "generations": {
            name: _report_as_written_today(report, known) for name, report in generations.items()
        },
        "parity": known if answered and known["flow"] == "parity" else None,
        "drill": known if answered and known["flow"] == "drill" else None,
    }


def _report_as_written_today(report: Any, content: Mapping[str, Any]) -> Any:
    if not isinstance(report, Mapping):
        return report
    failed = [{**unit, "error": error_class(unit)} for unit in report.get("failed") or ()]
    upgraded = {**report, "failed": failed}
    if not failed:  # before rows were counted, a report without a failure had some
        upgraded.setdefault("rows_received", 1)
    if report.get("retired") and not report.get("frozen_since"):
        upgraded["frozen_since"] = day_of(datetime.fromisoformat(content["started"])).isoformat()
    return upgraded


def runs_folder(lake: Lake) -> Path:
    """Return `ops/runs`."""
    return lake.ops / "runs"


def read_entries(lake: Lake, since: datetime | None = None) -> tuple[list[RunEntry], list[Path]]:
    """Return (the ledger's entries, oldest first; the files that cannot be read).

    `since` leaves out runs that started before it, without opening their files.
    """
    entries, damaged = [], []
    first = f"{since.astimezone(UTC):%Y%m%dT%H%M%S%f}Z" if since else ""
    try:
        names = sorted(n for n in os.listdir(runs_folder(lake)) if n.endswith(".json"))
    except FileNotFoundError:
        return [], []
    for name in names:
        if name.startswith(".") or name < first:
            continue
        path = runs_folder(lake) / name
        try:
            entries.append(RunEntry.of(orjson.loads(path.read_bytes()), path))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            damaged.append(path)
    return entries, damaged


def is_dead(entry: RunEntry) -> bool:
    """Return whether a run that is not closed has died.

    Whether its process is gone can be seen only on the machine, and since the boot, that started
    it. Elsewhere a run counts as alive until it has been silent for `SILENT_SECONDS`.
    """
    if not entry.is_running:
        return False
    begun = entry.process_started
    visible = entry.process_namespace in (None, process_namespace()) and (
        begun is None or begun.startswith(f"{boot_id()}:")
    )
    if entry.host == socket.gethostname() and visible:
        try:
            os.kill(entry.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # Another process may have the number by now.
        return begun is not None and process_started(entry.pid) != begun
    return time.time() - entry.path.stat().st_mtime > SILENT_SECONDS
