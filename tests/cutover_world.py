"""A small lake of both generations, and stand-ins for silver and the schedules, for switches."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.cutover.archiving import cleanup, restore
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.checksums import checksums
from polygon_fundamentals.cutover.context import BuiltSilver, Options, SwitchContext
from polygon_fundamentals.cutover.operations import cutover, rollback
from polygon_fundamentals.cutover.reader_checks import Check
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.cutover.schedules import Recorded
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.pointer import OnReached
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.silver import links
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.templates import copied

OBSERVED = datetime(2026, 6, 1, 12, tzinfo=UTC)
TODAY = date(2026, 6, 12)
QUARTERS = (
    ("2025-03-31", "2025-05-02", 1),
    ("2025-06-30", "2025-08-01", 2),
    ("2025-09-30", "2025-10-31", 3),
)
V1_LINE = {
    Statement.BALANCE_SHEETS: ("balance_sheet", "assets"),
    Statement.CASH_FLOW: ("cash_flow_statement", "net_cash_flow"),
    Statement.INCOME_STATEMENTS: ("income_statement", "revenues"),
}
V2_LINE = {
    Statement.BALANCE_SHEETS: "total_assets",
    Statement.CASH_FLOW: "change_in_cash_and_equivalents",
    Statement.INCOME_STATEMENTS: "revenue",
}
SCHEDULES: Recorded = [
    {"deployment": f"daily/{g}", "deployment_id": g, "schedule_id": g, "generation": g, "active": a}
    for g, a in (("v1", True), ("v2", False), ("both", True))
]


def v1_folder(lake: Lake) -> Path:
    """Return the folder that v1's data has after a cutover."""
    return lake.bronze / "fundamentals_v1_archive"


def v1_row(cik: str, ticker: str, quarter: tuple[str, str, int], value: float) -> dict[str, Any]:
    """Return a v1 record with one line a statement."""
    end, filed, number = quarter
    leaf = {"value": value, "unit": "USD", "label": "Line", "order": 100}
    return {
        "cik": cik,
        "tickers": [ticker],
        "company_name": f"{ticker} Inc",
        "end_date": end,
        "filing_date": filed,
        "fiscal_year": "2025",
        "fiscal_period": f"Q{number}",
        "timeframe": "quarterly",
        "financials": {section: {line: leaf} for section, line in V1_LINE.values()},
    }


def v2_row(
    cik: str, ticker: str, quarter: tuple[str, str, int], value: float, statement: Statement
) -> dict[str, Any]:
    """Return a v2 record with one line."""
    end, filed, number = quarter
    return {
        "cik": cik,
        "tickers": [ticker],
        "period_end": end,
        "filing_date": filed,
        "fiscal_year": 2025,
        "fiscal_quarter": number,
        "timeframe": "quarterly",
        V2_LINE[statement]: value,
    }


def fill(
    lake: Lake,
    tickers: Sequence[str] = ("AAA", "BBB"),
    quarters: Any = QUARTERS,
    v2_quarters: Any = None,
) -> Lake:
    """Load the same facts of some companies into both generations; return the lake."""
    facts = (tuple(tickers), tuple(quarters), tuple(v2_quarters or quarters))
    if any(lake.bronze.rglob("*.parquet")):
        _load(lake, *facts)
        return lake
    return copied(lake, _load, *facts)


def _load(lake: Lake, tickers: Sequence[str], quarters: Any, v2_quarters: Any) -> None:
    lake.prepare()
    for statement in Statement:
        v1, v2, places = [], [], {}
        for place, ticker in enumerate(tickers):
            places[ticker] = range(place * len(quarters), (place + 1) * len(quarters))
            for i, (quarter, later) in enumerate(zip(quarters, v2_quarters, strict=True)):
                cik, value = f"{place + 1:010d}", float(1000 * (place + 1) + i)
                v1.append(v1_row(cik, ticker, quarter, value))
                v2.append(v2_row(cik, ticker, later, value, statement))
        for generation, table in (
            (Generation.V1, v1_tables(v1, OBSERVED)[statement]),
            (Generation.V2, v2_table(v2, statement, OBSERVED)),
        ):
            incoming = Incoming(table, places, Scope.WINDOW, frozenset(), OBSERVED)
            commit(lake.dataset(generation, statement), incoming)


def load_gone(lake: Lake) -> Lake:
    """Load a company that only v1 has; return the lake."""
    rows = [v1_row("0000000009", "GONE", quarter, 5.0) for quarter in QUARTERS]
    for statement in Statement:
        table = v1_tables(rows, OBSERVED)[statement]
        incoming = Incoming(table, {"GONE": range(3)}, Scope.WINDOW, frozenset(), OBSERVED)
        commit(lake.dataset(Generation.V1, statement), incoming)
    return lake


def load_later(lake: Lake) -> Lake:
    """Load a new period and a corrected one of AAA into v1 a month later; return the lake."""
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    later = (("2025-12-31", "2026-02-01", 4), QUARTERS[0])
    rows = [v1_row("0000000001", "AAA", quarter, 7.0) for quarter in later]
    for statement in Statement:
        table = v1_tables(rows, at)[statement]
        incoming = Incoming(table, {"AAA": range(2)}, Scope.WINDOW, frozenset(), at)
        commit(lake.dataset(Generation.V1, statement), incoming)
    return lake


@dataclass(frozen=True)
class FakeSilver:
    """Builds a table of one file; `broken` names a generation that cannot be built."""

    broken: str = ""
    other_schema: str = ""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Build from the files that a generation's folder holds."""
        if self.broken == generation.value:
            raise OSError(5, "Input/output error", "part-0.parquet")
        folder = lake.silver / "builds"
        folder.mkdir(parents=True, exist_ok=True)
        build = folder / f"{len(os.listdir(folder)):03d}-{generation}"
        build.mkdir()
        names = [s.value for s in Statement for _ in lake.dataset(generation, s).files()]
        columns: dict[str, Any] = {
            "statement": names,
            "generation": [generation.value] * len(names),
        }
        if self.other_schema == generation.value:
            columns["extra"] = [1] * len(names)
        pq.write_table(pa.table(columns), build / "part-0.parquet")
        return build


@dataclass
class FakeSchedules:
    """Schedules in a file, so that a killed process leaves them as a server would."""

    path: Path
    busy: list[list[str]] = field(default_factory=list)
    why_none: str = ""

    def recorded(self) -> Recorded:
        """Return the file's content."""
        if not self.path.exists():
            self.path.write_text(json.dumps(SCHEDULES))
        found: Recorded = json.loads(self.path.read_text())
        return found

    def apply(self, wanted: Recorded) -> None:
        """Write the file anew."""
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(wanted))
        os.replace(beside, self.path)

    def running(self, generations: Sequence[str]) -> list[str]:
        """Return the next of what is said to run."""
        return self.busy.pop(0) if self.busy else []

    def retire(self, generations: Sequence[str]) -> list[str]:
        """Switch the generations off."""
        self.apply(
            [
                {**e, "active": e["active"] and e["generation"] not in generations}
                for e in self.recorded()
            ]
        )
        return [e["deployment"] for e in self.recorded() if e["generation"] in generations]

    def reinstate(self, generations: Sequence[str]) -> list[str]:
        """Do nothing: `retire` leaves no trace but the schedules themselves."""
        return []

    def active(self) -> dict[str, bool]:
        """Return generation → whether its schedule is active."""
        return {e["generation"]: e["active"] for e in self.recorded()}


def at_later(days: float) -> Any:
    """Return a clock that shows a moment some days after now."""
    from datetime import timedelta

    return lambda: datetime.now(UTC) + timedelta(days=days)


def context(lake: Lake, **other: Any) -> SwitchContext:
    """Return what a switch works with in tests."""
    given: dict[str, Any] = {
        "schedules": FakeSchedules(lake.root / "schedules.json"),
        "silver": FakeSilver(),
        "checks": (ROWS,),
    }
    return SwitchContext(**{**given, **other})


COUNT = (
    "import json,sys,glob;"
    "print(json.dumps({'files': len(glob.glob(sys.argv[1] + '/*/*/*/*.parquet')), 'at': 'x'}))"
)
ROWS = Check(name="files", command=("python3", "-S", "-c", COUNT, "{bronze}"), may_differ=("at",))
QUICK = Options(force="test", wait_seconds=5.0, settle_seconds=0.0)
LATER = 200.0


def run(lake: Lake, operation: str, **other: Any) -> dict[str, Any]:
    """Carry out an operation in this process; return its report."""
    if operation == "cutover":
        return cutover(lake, Checklist, context(lake, **other), QUICK).as_json()
    if operation == "rollback":
        today = date(2026, 11, 1)
        report = rollback(lake, context(lake, **other), QUICK, [], today, accept_stale=True)
        return report.as_json()
    late = {"clock": at_later(LATER), **other}
    if operation == "cleanup":
        return cleanup(lake, context(lake, **late), Retention()).as_json()
    return restore(lake, context(lake, **late)).as_json()


class Killer:
    """A `point` that counts, and kills its process at the given one."""

    def __init__(self, at: int) -> None:
        self.at, self.names = at, list[str]()

    def __call__(self, name: str) -> None:
        """Count a point."""
        self.names.append(name)
        if len(self.names) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class CountedSilver:
    """The library's own silver, passing a point before each change that a build makes."""

    on_reached: OnReached

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Build as `BuiltSilver` does."""
        with ExitStack() as patched:
            for name in ("mkdir", "link", "rename", "replace", "fsync", "rmdir"):
                patched.enter_context(patch.object(os, name, self._counted(name)))
            return BuiltSilver().build(lake, generation)

    def _counted(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*words: Any, **more: Any) -> Any:
            self.on_reached(f"silver's {name}")
            return real(*words, **more)

        return call


def run_until(root: str, operation: str, at: int, silver: str) -> None:
    """Carry out an operation and die at a point (for a process of its own)."""
    killer = Killer(at)
    run(Lake(Path(root)), operation, on_reached=killer, checks=(), silver=silver_of(silver, killer))


def silver_of(kind: str, point: OnReached) -> Any:
    """Return the stand-in, or the real one with points of its own."""
    return CountedSilver(point) if kind == "real" else FakeSilver()


def _made_from(build: Path) -> str:
    found: set[str] = set()
    for path in build.rglob("*.parquet"):
        found |= set(pq.read_table(path, partitioning=None)["generation"].unique().to_pylist())
    (made_from,) = found
    return str(made_from)


def state(lake: Lake) -> dict[str, Any]:
    """Return what readers see, and the data's checksums whichever name v1's folder has."""
    silver = links.linked_build(lake)
    v1 = lake.generation_folder(Generation.V1)
    return {
        "pointer": lake.primary.value,
        "silver": _made_from(silver) if silver else None,
        "schedules": FakeSchedules(lake.root / "schedules.json").active(),
        "v1": checksums(v1) if v1.is_dir() else {},
        "v2": checksums(lake.bronze / "fundamentals_v2"),
        "bronze": sorted(name for name in os.listdir(lake.bronze) if name not in (".staging",)),
    }
