"""The run ledger: one small file per run in `ops/runs/`, written when it starts, ends, and between.

On its own host, a run has died when its process is gone; on another host, when its heartbeat (the
file's time of change) is older than five minutes. It is then closed as `crashed`.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import process_namespace, replace_file
from polygon_fundamentals.ledger.entry import (
    CRASHED,
    FAILED,
    INTERRUPTED,
    RUNNING,
    SUCCEEDED,
    RunEntry,
    is_dead,
    read_entries,
    runs_folder,
)
from polygon_fundamentals.ledger.process import code_version, peak_memory_bytes, process_started
from polygon_fundamentals.locks import exclusive

HEARTBEAT_SECONDS = 15.0
# No run goes on for longer.
_LONGEST = timedelta(days=30)
_DAY = timedelta(days=1)


@dataclass
class Run:
    """A run that is going on: fills its ledger entry."""

    lake: Lake
    flow: str
    parameters: Mapping[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    flow_run_id: str | None = None
    report: dict[str, Any] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    done_before: frozenset[tuple[str, ...]] = frozenset()

    @property
    def path(self) -> Path:
        """The ledger file of this run."""
        return (
            runs_folder(self.lake) / f"{self.started:%Y%m%dT%H%M%S%f}Z-{self.flow}-{self.id}.json"
        )

    def write(self, outcome: str, message: str = "") -> None:
        """Write the entry as it now stands."""
        now = datetime.now(UTC)
        entry = {
            "run": self.id,
            "flow": self.flow,
            "parameters": dict(self.parameters),
            "flow_run_id": self.flow_run_id,
            "code_version": code_version(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_started": process_started(os.getpid()),
            "process_namespace": process_namespace(),
            "started": self.started.isoformat(),
            "ended": None if outcome == RUNNING else now.isoformat(),
            "seconds": round((now - self.started).total_seconds(), 3),
            "outcome": outcome,
            "message": message,
            "peak_memory_bytes": peak_memory_bytes(),
            **self.report,
        }
        replace_file(self.path, orjson.dumps(entry, option=orjson.OPT_INDENT_2))

    def resume(self) -> None:
        """Take over the done units of the newest run that was cut off with these parameters."""
        previous, done = resumable(self.lake, self.flow, self.parameters)
        if previous:
            self.report["resumes"] = previous
            self.done_before = frozenset(done)
            self.done([list(unit) for unit in done])

    def done(self, units: Sequence[Sequence[str]]) -> None:
        """Note units as done, so that a run that takes over after a kill passes them by."""
        lines = b"".join(orjson.dumps(list(unit)) + b"\n" for unit in units)
        descriptor = os.open(
            self.path.with_suffix(".done"),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC,
            0o666,
        )
        try:
            os.write(descriptor, lines)
        finally:
            os.close(descriptor)


@contextmanager
def recorded(run: Run) -> Iterator[Run]:
    """Keep a run's ledger entry while the body runs.

    The body sets `run.report`; an entry is `failed` where the report says so
    (`"ok": False`) or the body raises, `interrupted` after Ctrl-C.
    """
    runs_folder(run.lake).mkdir(parents=True, exist_ok=True)
    close_crashed(run.lake)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(run.path, stop), daemon=True)
    try:
        # Ctrl-C may come while the entry is written, too.
        try:
            run.write(RUNNING)
            beat.start()
            yield run
            ok = bool(run.report.get("ok", True))
            run.write(SUCCEEDED if ok else FAILED, str(run.report.get("message", "")))
        except Exception as error:
            run.write(FAILED, f"{type(error).__name__}: {error}"[:500])
            raise
    except Exception:
        raise
    except BaseException:  # Ctrl-C, or a worker that was asked to stop
        run.write(INTERRUPTED, "interrupted")
        raise
    else:
        run.path.with_suffix(".done").unlink(missing_ok=True)
    finally:
        stop.set()
        if beat.ident is not None:
            beat.join()


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        # It may fail now and then on a network file system; the next one must still come.
        with suppress(OSError):
            os.utime(path)


def close_crashed(lake: Lake) -> list[RunEntry]:
    """Close the entries of runs that died; return them. Their `.done` lists stay."""
    closed: list[RunEntry] = []
    since = datetime.now(UTC) - _LONGEST
    if not runs_folder(lake).is_dir():
        return closed
    with exclusive(lake.lock("ledger")):
        for entry in read_entries(lake, since)[0]:
            # A run may have ended since its entry was read. One that is dead writes no more.
            if is_dead(entry) and _outcome_now(entry.path) == RUNNING:
                beat = datetime.fromtimestamp(entry.path.stat().st_mtime, UTC)
                seconds = round((beat - entry.started).total_seconds(), 3)
                content = {
                    **entry.content,
                    "outcome": CRASHED,
                    "ended": beat.isoformat(),
                    "seconds": max(seconds, 0.0),
                    "message": f"the process died on {entry.host or None}; its last sign of "
                    f"life was at {beat:%Y-%m-%d %H:%M} UTC",
                }
                replace_file(entry.path, orjson.dumps(content, option=orjson.OPT_INDENT_2))
                closed.append(RunEntry.of(content, entry.path))
    return closed


def _outcome_now(path: Path) -> str:
    """Return what an entry says now, an empty text where it has gone."""
    with suppress(FileNotFoundError):
        return str(orjson.loads(path.read_bytes())["outcome"])
    return ""


def runs_of_a_day(lake: Lake, flow: str, parameters: Mapping[str, Any]) -> Iterator[RunEntry]:
    """Yield the runs with these parameters that began or ended within a day, newest first."""
    now = datetime.now(UTC)
    wanted = orjson.dumps(dict(parameters), option=orjson.OPT_SORT_KEYS)
    for entry in reversed(read_entries(lake, now - _LONGEST)[0]):
        # A load of a market can take longer than a day.
        if entry.flow != flow or max(entry.started, entry.last_moment) < now - _DAY:
            continue
        if orjson.dumps(entry.parameters, option=orjson.OPT_SORT_KEYS) == wanted:
            yield entry


def resumable(
    lake: Lake, flow: str, parameters: Mapping[str, Any]
) -> tuple[str | None, set[tuple[str, ...]]]:
    """Return (run id, its done units) of the newest run that was cut off with these parameters.

    Only a run that crashed or was interrupted within the last day counts, and only if none of the
    same kind has ended since; else (None, empty). The API's address is one of the parameters: units
    of another server are not done, nor those of an older entry without an address.
    """
    for entry in runs_of_a_day(lake, flow, parameters):
        if entry.is_running:
            continue
        if entry.outcome not in (CRASHED, INTERRUPTED):
            return None, set()
        try:
            lines = entry.done_file.read_bytes().splitlines()
        except FileNotFoundError:
            return None, set()
        done = set()
        for line in lines:
            with suppress(orjson.JSONDecodeError):  # the last line of a killed run may be cut
                done.add(tuple(orjson.loads(line)))
        return entry.run, done
    return None, set()
