"""The run ledger: one small file a run in `ops/runs/`, written when it starts, ends, and between.

A run that died is told on its own host by its process, elsewhere by its heartbeat (the file's
time of change) once that is older than five minutes. It is then closed as `crashed`.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive

HEARTBEAT_SECONDS = 15.0
SILENT_SECONDS = 300.0
RUNNING, SUCCEEDED, FAILED, CRASHED, INTERRUPTED = (
    "running",
    "succeeded",
    "failed",
    "crashed",
    "interrupted",
)


@dataclass(frozen=True)
class Record:
    """One run as the ledger has it; `path` is its file."""

    path: Path
    found: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """running, succeeded, failed, crashed or interrupted."""
        return str(self.found["outcome"])

    @property
    def started(self) -> datetime:
        """When it started, with zone."""
        return datetime.fromisoformat(self.found["started"])

    @property
    def done_file(self) -> Path:
        """The list of its units that are done, one a line; there while it may be resumed."""
        return self.path.with_suffix(".done")


@cache
def code_version() -> str:
    """Return the version of this code: the package's, and the git commit where there is one."""
    try:
        number = version("polygon-fundamentals")
    except PackageNotFoundError:
        number = "0"
    try:
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return f"{number}+{commit}" if commit else number


def peak_memory_bytes() -> int:
    """Return the largest resident size so far of this process or any child, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


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
    run.write(RUNNING)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(run.path, stop), daemon=True)
    beat.start()
    try:
        yield run
    except Exception as error:
        run.write(FAILED, f"{type(error).__name__}: {error}"[:500])
        raise
    except BaseException:  # Ctrl-C, or a worker told to stop
        run.write(INTERRUPTED, "interrupted")
        raise
    else:
        ok = bool(run.report.get("ok", True))
        run.write(SUCCEEDED if ok else FAILED, str(run.report.get("message", "")))
        run.path.with_suffix(".done").unlink(missing_ok=True)
    finally:
        stop.set()
        beat.join()


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        with suppress(FileNotFoundError):
            os.utime(path)


def runs_folder(lake: Lake) -> Path:
    """Return `ops/runs`."""
    return lake.ops / "runs"


def records(lake: Lake, since: datetime | None = None) -> tuple[list[Record], list[Path]]:
    """Return (the ledger's entries, oldest first; the files that cannot be read).

    `since` leaves out runs that started before it, without opening their files.
    """
    found, damaged = [], []
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
            entry = orjson.loads(path.read_bytes())
            entry["outcome"], entry["flow"], dict(entry["parameters"])
            if datetime.fromisoformat(entry["started"]).tzinfo is None:
                raise ValueError
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            damaged.append(path)
            continue
        found.append(Record(path, entry))
    return found, damaged


def is_dead(record: Record) -> bool:
    """Say whether a run that is not closed has died."""
    if record.outcome != RUNNING:
        return False
    if record.found.get("host") == socket.gethostname():
        try:
            os.kill(int(record.found["pid"]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # Another process may have the number by now.
        begun = record.found.get("process_started")
        return begun is not None and process_started(int(record.found["pid"])) != begun
    return time.time() - record.path.stat().st_mtime > SILENT_SECONDS


def process_started(pid: int) -> str | None:
    """Return a text that tells a process from any other of the same number, or None.

    From Linux's /proc: the boot and the moment in it; elsewhere None.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name, in parentheses, may hold spaces; the start is the 20th field after it.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
    return f"{boot}:{ticks}"


def close_crashed(lake: Lake) -> list[Record]:
    """Close the entries of runs that died; return them. Their `.done` lists stay."""
    closed: list[Record] = []
    since = datetime.now(UTC) - timedelta(days=30)
    if not runs_folder(lake).is_dir():
        return closed
    with exclusive(lake.lock("ledger")):
        for record in records(lake, since)[0]:
            if is_dead(record):
                entry = dict(record.found)
                beat = datetime.fromtimestamp(record.path.stat().st_mtime, UTC)
                seconds = round((beat - record.started).total_seconds(), 3)
                entry.update(
                    outcome=CRASHED,
                    ended=beat.isoformat(),
                    seconds=max(seconds, 0.0),
                    message=f"the process died on {record.found.get('host')}; its last sign of "
                    f"life was at {beat:%Y-%m-%d %H:%M} UTC",
                )
                replace_file(record.path, orjson.dumps(entry, option=orjson.OPT_INDENT_2))
                closed.append(Record(record.path, entry))
    return closed


def resumable(
    lake: Lake, flow: str, parameters: Mapping[str, Any], hours: float = 24.0
) -> tuple[str | None, set[tuple[str, ...]]]:
    """Return (run id, its done units) of the newest run that was cut off with these parameters.

    Only a run that crashed or was interrupted within `hours`, with nothing of the same
    kind ended since, counts; else (None, empty). The API's address is among the parameters: what
    another server gave is not done, nor what an older entry without one says.
    """
    since = datetime.now(UTC) - timedelta(hours=hours)
    wanted = orjson.dumps(dict(parameters), option=orjson.OPT_SORT_KEYS)
    for record in reversed(records(lake, since)[0]):
        if record.found["flow"] != flow or record.outcome == RUNNING:
            continue
        if orjson.dumps(record.found["parameters"], option=orjson.OPT_SORT_KEYS) != wanted:
            continue
        if record.outcome not in (CRASHED, INTERRUPTED):
            return None, set()
        try:
            lines = record.done_file.read_bytes().splitlines()
        except FileNotFoundError:
            return None, set()
        done = set()
        for line in lines:
            with suppress(orjson.JSONDecodeError):  # the last line of a killed run may be cut
                done.add(tuple(orjson.loads(line)))
        return str(record.found["run"]), done
    return None, set()


def last_covered(found: Sequence[Record], generation: str, scope: Mapping[str, Any]) -> date | None:
    """Return the last day up to which a generation's filings were taken in, or None.

    It is the last day of the newest `daily-update` that succeeded for the generation and
    covered `scope` (its tickers, universe, statements and timeframes). Before the first of
    them, it is the day of the oldest historical load that had no last day and may have
    stored anything, however it ended. No run covers days after the one it started on, and none
    that was given no row at all covers any: an outage may answer with nothing.

    Updates that asked the API at the same address count (`base_url` of `scope`), and entries older
    than that parameter. Where there is none, the API may have moved, or the lake have been tried
    on another one: then updates at any address count, but no further than this one's first load.
    """
    asked = scope.get("base_url")
    mine = [r for r in found if r.found["parameters"].get("base_url", asked) == asked]
    here, anywhere = (_updated(runs, generation, scope) for runs in (mine, found))
    if here or anywhere is None:
        return here or _first_load(found, generation)
    return min(anywhere, _first_load(mine, generation) or anywhere)


def _updated(found: Sequence[Record], generation: str, scope: Mapping[str, Any]) -> date | None:
    days = []
    for record in found:
        told = (record.found.get("generations") or {}).get(generation) or {}
        came = told.get("ok") and told.get("rows_received", 1)
        if record.found["flow"] == "daily-update" and came and covers(record, scope):
            days.append(min(date.fromisoformat(told["window"]["to"]), day_of(record.started)))
    return max(days, default=None)


def _first_load(found: Sequence[Record], generation: str) -> date | None:
    loads = [
        day_of(record.started)
        for record in found
        if record.found["flow"] == "historical-load"
        and _may_have_stored(record, generation)
        and not record.found["parameters"].get("filing_date_lt")
    ]
    return min(loads, default=None)


def _may_have_stored(record: Record, generation: str) -> bool:
    told = record.found.get("generations")
    if told is not None:
        return generation in told
    # It goes on, was cut off, or raised: if it raised before any unit, it has no list of them.
    asked = record.found["parameters"].get("generation") in (generation, "both")
    return asked and (record.outcome != FAILED or record.done_file.exists())


def covers(record: Record, scope: Mapping[str, Any]) -> bool:
    """Say whether a load was asked for at least `scope`, its tickers and universe just so."""
    had = record.found["parameters"]
    return all(had.get(name) == scope[name] for name in ("tickers", "universe")) and all(
        set(scope[name]) <= set(had.get(name) or ()) for name in ("statements", "timeframes")
    )
