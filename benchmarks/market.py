"""A whole market through every command, one after the other: time, memory and disk of each.

    python -m benchmarks.market --out bench --work /data/market --companies 6000

Each step is a command as a user types it, on one lake below WORK, and a line of
OUT/market-COMPANIES.jsonl when it ends. A step that is there is not made again. Cut off, the same
command goes on: a load goes on where it stopped, as it does for a user, and the time of each part
is a line of its own (`cut`), so that the sum is what the step took. `--seconds` ends the whole
before so long have gone by, for a machine that is shared.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import tools
from benchmarks.kinds import TODAY, WEEK_DAYS
from benchmarks.measure import measured
from benchmarks.server import Served, served

# (what it is, day of the sandbox after TODAY, words of the command, exit codes that are an answer)
Step = tuple[str, int, tuple[str, ...], tuple[int, ...]]


def steps(tickers: str, tables: str) -> Iterator[Step]:
    """Yield the steps in the order in which a migration takes them."""
    load = ("historical-load", "--timeframe", "quarterly", "--tickers-file", tickers)
    day = (TODAY + timedelta(days=WEEK_DAYS)).isoformat()
    daily = ("daily-update", "--generation", "both", "--timeframe", "quarterly", "--date", day)
    judged = ("parity", "--date", day)
    yield "load of v2", 0, (*load, "--generation", "v2"), (0,)
    yield "load of v1", 0, (*load, "--generation", "v1"), (0,)
    yield "load of v2, unchanged", 0, (*load, "--generation", "v2"), (0,)
    yield "load of v1, unchanged", 0, (*load, "--generation", "v1"), (0,)
    yield "parity, first", 0, ("parity", "--date", TODAY.isoformat()), (0, 1)
    yield "silver, first", 0, ("silver",), (0,)
    yield "publish, first", 0, ("publish", "--to", tables), (0,)
    yield "daily update of a week", WEEK_DAYS, (*daily, "--days-back", str(WEEK_DAYS)), (0,)
    yield "parity after the update", WEEK_DAYS, judged, (0, 1)
    yield "silver after the update", WEEK_DAYS, ("silver",), (0,)
    yield "publish after the update", WEEK_DAYS, ("publish", "--to", tables), (0,)
    yield "status", WEEK_DAYS, ("status",), (0, 1)
    yield "status, warm", WEEK_DAYS, ("status",), (0, 1)
    yield "cutover", WEEK_DAYS, ("cutover", "--execute", "--force", "a measurement"), (0,)
    yield "publish after the cutover", WEEK_DAYS, ("publish", "--to", tables), (0,)
    yield "rollback", WEEK_DAYS, ("rollback", "--execute"), (0,)


@dataclass(frozen=True)
class Market:
    """Where the lake and the results are, how many companies there are, and until when to run."""

    out: Path
    work: Path
    companies: int
    start: date
    until: float

    @property
    def file(self) -> Path:
        """The results, one JSON object a line."""
        return self.out / f"market-{self.companies}.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """Return what was measured so far."""
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def run(self) -> bool:
        """Carry out what is not there yet; return whether all of it is."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True, exist_ok=True)
        done = {line["step"] for line in self.lines() if not line.get("cut")}
        tables = str(self.work / "tables")
        tickers = str(self.work / f"tickers-{self.companies}.txt")
        wanted = [step for step in steps(tickers, tables) if step[0] not in done]
        for later in sorted({day for _, day, _, _ in wanted}):
            if self._left() <= 0:
                return False
            today = TODAY + timedelta(days=later)
            # Rendered when asked for: a whole market of answers would fill the memory.
            with served(self.work, self.companies, today, start=self.start, render=False) as server:
                for step in [s for s in wanted if s[1] == later]:
                    if self._left() <= 0 or not self._step(step, server):
                        return False
        return True

    def _left(self) -> float:
        return self.until - time.monotonic()

    def _step(self, step: Step, server: Served) -> bool:
        """Measure one step; return whether it came to its end."""
        name, _, words, codes = step
        lake = self.work / "lake"
        asks = words[0] in ("historical-load", "daily-update", "parity")
        more = ("--base-url", server.url) if asks else ()
        words = tuple(tools.flows(*words, *more, "--lake", str(lake), "--json"))
        server.requests()
        figure = measured(
            words,
            tools.ROOT,
            tools.environment(self.work / "prefect"),
            self.work / "logs" / name.replace(" ", "-"),
            self._left(),
        )
        cut = figure.exit_code < 0  # the time was over
        line = {
            "step": name,
            "command": " ".join(words[2:]),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "companies": self.companies,
            "wall": round(figure.wall, 1),
            "cpu": round(figure.cpu, 1),
            "peak": figure.peak,
            "requests": server.requests(),
            "exit_code": figure.exit_code,
            "lake_bytes": _bytes(lake),
            **({"cut": True} if cut else {}),
        }
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), file=sys.stderr, flush=True)
        if not cut and figure.exit_code not in codes:
            raise SystemExit(f"{name} failed: {(figure.errors or figure.printed)[-1000:]}")
        return not cut


def _bytes(folder: Path) -> int:
    """Return what a folder takes on disk, files that are linked once."""
    stats = [path.lstat() for path in folder.rglob("*")]
    return sum({stat.st_ino: stat.st_blocks * 512 for stat in stats}.values())


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the results as a table of docs/large-lakes.md; the parts of a step are added up."""
    yield "| step | wall s | CPU s | peak MB | requests | lake GB |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name in dict.fromkeys(line["step"] for line in lines):
        parts = [line for line in lines if line["step"] == name]
        wall, cpu, asked = (sum(p[key] for p in parts) for key in ("wall", "cpu", "requests"))
        note = " (not ended)" if parts[-1].get("cut") else ""
        peak = max(part["peak"] for part in parts) / 1e6
        yield (
            f"| {name}{note} | {wall:,.1f} | {cpu:,.1f} | {peak:,.0f} "
            f"| {asked:,} | {parts[-1]['lake_bytes'] / 1e9:,.2f} |"
        )


def main() -> None:
    """Measure what is not there yet; print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("bench"), help="results (./bench)")
    parser.add_argument("--work", type=Path, required=True, help="the lake and the logs")
    parser.add_argument("--companies", type=int, default=6_000)
    parser.add_argument("--start", type=date.fromisoformat, default=date(2010, 1, 1))
    parser.add_argument("--seconds", type=float, default=1e9, help="end before so many are over")
    given = parser.parse_args()
    until = time.monotonic() + given.seconds
    market = Market(given.out, given.work.absolute(), given.companies, given.start, until)
    whole = market.run()
    print("\n".join(table(market.lines())))
    if not whole:
        print("not all of it: the same command goes on")


if __name__ == "__main__":
    main()
