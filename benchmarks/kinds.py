"""The kinds of measurement: history and a second load, daily update, parity, start-up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks import sql, tools
from benchmarks.measure import Measured, measured
from benchmarks.results import Results, Row
from benchmarks.server import Served, served
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Statement

# The clock of the sandbox: a day in the weeks in which most of the year's filings come.
TODAY = date(2026, 5, 6)
# What the daily updates ask for: of 10,070 companies 750 file on the two days after TODAY, and
# 2,270 in the week after it.
UPDATE_DAYS = 2
WEEK_DAYS = 7


@dataclass(frozen=True)
class Bench:
    """What the kinds share: where results and lakes go, how often and how long to measure."""

    results: Results
    work: Path
    runs: int = 3
    generations: tuple[str, ...] = ("v2", "v1")
    names: frozenset[str] | None = None
    latency: float = 0.05
    start: date = date(2010, 1, 1)
    quirks: bool = True
    limit_seconds: float = 7200.0
    setting: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def server(self, companies: int, today: date) -> Iterator[Served]:
        """Serve so many companies as they are on a day."""
        with served(
            self.work,
            companies,
            today,
            latency=self.latency,
            start=self.start,
            quirks=self.quirks,
        ) as server:
            yield server

    def chosen(self, known: dict[str, tools.Tool]) -> list[tools.Tool]:
        """Return the tools to measure, in the order in which they take turns."""
        return [t for name, t in known.items() if self.names is None or name in self.names]

    def row(self, kind: str, generation: str, tool: str, companies: int, run: int) -> Row | None:
        """Return the measurement to make, or None where it is there."""
        setting = {
            "latency": self.latency,
            "start": self.start.isoformat(),
            "today": TODAY.isoformat(),
            "timeframes": "quarterly",
            **self.setting,
        }
        row = Row(kind, generation, tool, companies, run, setting=setting)
        return None if self.results.has(row.key) else row

    def run(
        self,
        row: Row,
        words: Sequence[str],
        server: Served | None = None,
        data: Path | None = None,
        codes: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
    ) -> Row:
        """Measure a command, note the result, return it."""
        logs = self.work / "logs" / "-".join(map(str, row.key)).replace(" ", "_")
        if server is not None:
            server.requests()
        found = measured(
            words,
            tools.ROOT,
            tools.environment(self.work / "prefect", **(environment or {})),
            logs,
            self.limit_seconds,
        )
        asked = server.requests() if server is not None else 0
        row = filled(row, found, asked, data, codes)
        print(_line(row), file=sys.stderr, flush=True)
        return self.results.add(row)

    def lacking(self, row: Row, tool: tools.Tool) -> bool:
        """Note and say that a tool is missing here."""
        reason = tools.missing(tool)
        if reason is None:
            return False
        print(_line(self.results.add(replace(row, missing=reason))), file=sys.stderr, flush=True)
        return True


def filled(
    row: Row, found: Measured, requests: int, data: Path | None, codes: Sequence[int]
) -> Row:
    """Return the row with what was measured."""
    if found.exit_code not in codes:
        said = (found.printed.strip() or found.errors.strip()).splitlines()[-1:]
        return replace(row, failed=f"exit code {found.exit_code}: {' '.join(said)[:300]}")
    files = sorted(data.rglob("*.parquet")) if data is not None else []
    told = _told(found.printed)
    inside = (told.get(row.generation) or {}).get("seconds")
    return replace(
        row,
        wall=round(found.wall, 3),
        cpu=round(found.cpu, 3),
        peak=found.peak,
        peak_is=found.peak_is,
        requests=requests,
        # dlt keeps lists in tables of their own, with __ in their names.
        records=sum(pq.read_metadata(f).num_rows for f in files if "__" not in f.parent.name),
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        inside=inside,
        told={k: v for k, v in told.items() if isinstance(v, int | float | bool)},
    )


def _told(printed: str) -> dict[str, Any]:
    try:
        found = json.loads(printed.strip().splitlines()[-1])
    except (json.JSONDecodeError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _line(row: Row) -> str:
    what = " ".join(filter(None, (row.kind, row.generation, row.tool)))
    place = f"{what}, {row.companies} companies, run {row.run}"
    if not row.good:
        return f"{place}: {'missing: ' if row.missing else 'FAILED: '}{row.missing or row.failed}"
    return (
        f"{place}: {row.wall:.2f} s, cpu {row.cpu:.2f} s, {row.peak / 1e6:.0f} MB, "
        f"{row.requests:,} requests, {row.records:,} records, {row.files:,} files, "
        f"{row.bytes / 1e6:.1f} MB"
    )


def empty(folder: Path) -> Path:
    """Return the folder, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def twin(folder: Path, copy: Path) -> Path:
    """Return a copy of a lake by hard links: every tool here replaces files, none edits them."""
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-al", str(folder), str(copy)], check=True)
    return copy


def history(bench: Bench, companies: int) -> None:
    """Measure the first load and a second, unchanged one; the tools take turns.

    What they write is removed after all of them: a file system that has just given up tens of
    thousands of files makes new ones several times as slowly (ext4 passes over inodes freed in
    the last minutes).
    """
    with bench.server(companies, TODAY) as server:
        for generation in bench.generations:
            for run in range(1, bench.runs + 1):
                for tool in bench.chosen(tools.LOADERS):
                    _history(bench, server, generation, tool, companies, run)
    shutil.rmtree(bench.work / "history", ignore_errors=True)


def _history(
    bench: Bench, server: Served, generation: str, tool: tools.Tool, companies: int, run: int
) -> None:
    first = bench.row("history", generation, tool.name, companies, run)
    second = bench.row("again", generation, tool.name, companies, run)
    wanted = first or second
    if wanted is None or bench.lacking(wanted, tool):
        return
    folder = empty(bench.work / "history" / f"{generation}-{tool.name}-{companies}-{run}")
    words = tools.history(tool, generation, server, folder)
    # The second load stands on the first, which is made again where only the second is wanted.
    good = bench.run(replace(wanted, kind="history"), words, server, folder / tool.data).good
    if good and second is not None:
        bench.run(second, words, server, folder / tool.data)


def loaded(bench: Bench, server: Served, companies: int) -> Path:
    """Return a lake of ours with both generations, made once and kept in the work folder."""
    lake = bench.work / f"lake-{companies}"
    mark = bench.work / f"lake-{companies}.whole"
    if not mark.exists():
        print(f"a lake of {companies} companies is made, not measured", file=sys.stderr)
        shutil.rmtree(lake, ignore_errors=True)
        words = tools.history(tools.LOADERS["ours"], "both", server, lake)
        environment = tools.environment(bench.work / "prefect")
        subprocess.run(
            words, cwd=tools.ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
        )
        mark.touch()
    return lake


def update(bench: Bench, companies: int) -> None:
    """Measure a daily update of two days."""
    _update(bench, companies, "update", UPDATE_DAYS)


def week(bench: Bench, companies: int) -> None:
    """Measure a daily update of seven days, the default."""
    _update(bench, companies, "week", WEEK_DAYS)


def _update(bench: Bench, companies: int, kind: str, days: int) -> None:
    """Measure a daily update over the whole market, on a lake that ends before the window.

    The lake has had an update the day before, as one in use has: the first one ever also takes
    stock of what the lake follows.
    """
    rows = _open(bench, kind, bench.generations, tools.LOADERS, companies)
    if not rows:
        return
    first = TODAY + timedelta(days=1)
    last = TODAY + timedelta(days=days)
    window = [
        first.isoformat(),
        (last + timedelta(days=1)).isoformat(),
        last.isoformat(),
        str((last - first).days),
    ]
    with bench.server(companies, TODAY) as server:
        lake = loaded(bench, server, companies)
    with bench.server(companies, last) as server:
        for row, tool in rows:
            folder = bench.work / "update"
            if tool.data == "bronze":
                twin(lake, folder)
                _unmeasured(bench, _daily(server, folder, TODAY))
            else:
                empty(folder)
            words = tools.update(tool, row.generation, server, folder, window)
            bench.run(row, words, server, folder / tool.data)
            shutil.rmtree(folder)


def _open(
    bench: Bench,
    kind: str,
    generations: Sequence[str],
    known: dict[str, tools.Tool],
    companies: int,
) -> list[tuple[Row, tools.Tool]]:
    """Return the measurements to make, in turn; what is missing is noted."""
    wanted = [
        (row, tool)
        for generation in generations
        for run in range(1, bench.runs + 1)
        for tool in bench.chosen(known)
        if tool.name != "library"
        and (row := bench.row(kind, generation, tool.name, companies, run))
    ]
    return [(row, tool) for row, tool in wanted if not bench.lacking(row, tool)]


def parity(bench: Bench, companies: int) -> None:
    """Measure the comparison: without anything kept, then again after a day's update."""
    first = _open(bench, "parity", ["both"], tools.COMPARERS, companies)
    again = _open(bench, "parity again", ["both"], tools.COMPARERS, companies)
    if not first and not again:
        return
    tomorrow = TODAY + timedelta(days=1)
    with bench.server(companies, TODAY) as server:
        lake = loaded(bench, server, companies)
    pairs = bench.work / "pairs.json"
    pairs.write_text(json.dumps({s.value: sql.columns(s) for s in Statement}))
    with bench.server(companies, tomorrow) as server:
        for run in range(1, bench.runs + 1):
            folder = twin(lake, bench.work / "parity")
            for part in (first, again):
                for row, tool in part:
                    if row.run == run:
                        words = _comparison(tool, server, folder, pairs)
                        bench.run(row, words, server, codes=(0, 1))
                if part is first and any(row.run == run for row, _ in again):
                    if not any(row.run == run and tool.name == "ours" for row, tool in first):
                        _unmeasured(
                            bench, _comparison(tools.COMPARERS["ours"], server, folder, pairs)
                        )
                    _unmeasured(bench, _daily(server, folder, tomorrow))
            shutil.rmtree(folder)


def _unmeasured(bench: Bench, words: Sequence[str]) -> None:
    subprocess.run(
        words,
        cwd=tools.ROOT,
        env=tools.environment(bench.work / "prefect"),
        check=False,
        stdout=subprocess.DEVNULL,
    )


def _daily(server: Served, folder: Path, day: date) -> list[str]:
    return tools.flows(
        *("daily-update", "--generation", "both", "--timeframe", "quarterly"),
        *("--date", day.isoformat(), "--days-back", "1", "--base-url", server.url),
        *("--lake", str(folder), "--json"),
    )


def _comparison(tool: tools.Tool, server: Served, folder: Path, pairs: Path) -> list[str]:
    if tool.name == tools.OURS:
        where = ("--lake", str(folder), "--base-url", server.url, "--json")
        return tools.flows("parity", "--date", TODAY.isoformat(), *where)
    python = tools.interpreter(tool.needs) or sys.executable
    if tool.name == "duckdb":
        queries = folder.parent / "parity.sql"
        queries.write_text("\n".join(sql.query(Lake(folder), s) for s in Statement))
        return [python, str(tools.HERE / tool.script), str(queries)]
    return [python, str(tools.HERE / tool.script), str(folder), str(pairs)]
