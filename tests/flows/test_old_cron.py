"""The old cron runs on, before, during and after a cutover: no row is lost, each file is noticed.

v1 is loaded once at the beginning. From then on only the cron brings v1's rows, through the path
that it always used, and our commands are of v2 or read: so what is in v1's folder at the end the
cron wrote, wherever the path led at that moment.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders import quantmini
from tests.builders.commands import call, call_with_errors, where
from tests.conftest import KEY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
ROUNDS = 20
SWITCHED_AT = 7, 14  # rounds before, during and after switches
BEGAN = date(2025, 6, 1)
# What notices, by a line on standard error or in its answer.
COMMANDS = ("status", "checklist", "parity", "silver", "daily-update", "historical-load", "drill")
Facts = set[tuple[str, str, str, str]]


@pytest.fixture(scope="module")
def market() -> Iterator[Sandbox]:
    """Three companies, a year and a half of filings to come."""
    with Sandbox(
        companies=3, seed=11, quirks=False, start=date(2024, 1, 1), today=BEGAN, api_key=KEY
    ) as server:
        yield server


@dataclass
class World:
    """A lake that quantmini wrote and ours loaded; what the cron wrote so far."""

    market: Sandbox
    lake: Lake
    wrote: Facts = field(default_factory=set)
    files: list[Path] = field(default_factory=list)

    def cron(self) -> None:
        """Run the old job once: it appends what was filed in the last weeks."""
        now = datetime.now(UTC).replace(tzinfo=None)
        day = self.market.today
        rows = [
            row
            for row in quantmini.served(self.market)
            if 0 <= (day - date.fromisoformat(row["filing_date"])).days <= 100
        ]
        self.files = quantmini.append(self.lake.pointer, rows, now)
        self.wrote |= {
            (row["cik"], row["timeframe"], row["end_date"], row["filing_date"]) for row in rows
        }

    def loads(self, *words: str) -> list[str]:
        return [*words, "--generation", "v2", *where(self.market.url, self.lake)]

    def run(self, command: str) -> tuple[int, dict[str, object], str]:
        """Run a command; return exit code, answer and standard error."""
        here = ["--lake", str(self.lake.root)]
        words = {
            "parity": [command, *where(self.market.url, self.lake)],
            "daily-update": self.loads(command, "--days-back", "3000"),
            "historical-load": self.loads(
                command, "--tickers", ",".join(self.market.tickers), "--fresh"
            ),
        }.get(command, [command, *here])
        return call_with_errors(*words)

    def held(self) -> Facts:
        """Return the facts of v1's folder, which hold what the cron wrote."""
        facts: Facts = set()
        for statement in Statement:
            rows = read_dataset(self.lake.dataset(Generation.V1, statement)).to_pylist()
            facts |= {
                (r["cik"], r["timeframe"], str(r["end_date"]), str(r["filing_date"])) for r in rows
            }
        return facts

    def v2(self) -> dict[str, list[str]]:
        """Return v2's records, by statement."""
        return {
            statement.value: sorted(
                f"{r['cik']} {r['timeframe']} {r['period_end']}"
                for r in read_dataset(self.lake.dataset(Generation.V2, statement)).to_pylist()
            )
            for statement in Statement
        }


@pytest.fixture
def world(market: Sandbox, tmp_path: Path) -> World:
    """A lake of both generations before any switch; its old silver is out of the way."""
    lake = Lake(tmp_path / "lake")
    quantmini.write_lake(lake.root, market, datetime(2025, 6, 1, 6))  # noqa: DTZ001
    assert call("silver", "--adopt-path", "--lake", str(lake.root))[0] == 0
    code, report = call(
        "historical-load", "--tickers", ",".join(market.tickers), *where(market.url, lake)
    )
    assert code == 0, report
    return World(market, lake)


def switch(world: World, random_: random.Random) -> None:
    """Cut over or roll back while the cron runs, begun at a random moment of it."""
    to_v1 = leads_to(world.lake) is Generation.V2
    words = ["rollback", "--accept-stale"] if to_v1 else ["cutover", "--force", "a test"]

    def later() -> None:
        time.sleep(random_.uniform(0, 2.5))
        world.cron()

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(later)
        code, report = call(*words, "--execute", "--lake", str(world.lake.root))
        job.result()
    # What readers ask may differ meanwhile; then everything is put back.
    assert code in (0, 1, 4), report
    assert leads_to(world.lake) in (None, *Generation)


def noticed(world: World, command: str) -> bool:
    code, answer, errors = world.run(command)
    assert code in (0, 1), (command, code, answer)
    if command == "status":
        rows = answer["rows"]
        assert isinstance(rows, list)
        return any(row["name"].startswith("other writers") for row in rows)
    return "written by something else" in errors


def test_no_row_is_lost_and_each_run_is_noticed(world: World) -> None:
    random_ = random.Random(23)
    commands = [COMMANDS[i % len(COMMANDS)] for i in range(ROUNDS)]
    random_.shuffle(commands)
    if leads_to(world.lake) is not Generation.V2:
        before_all = world.v2()
    for number, command in enumerate(commands):
        world.market.advance(25)
        if SWITCHED_AT[0] <= number < SWITCHED_AT[1]:
            switch(world, random_)
        else:
            if number == SWITCHED_AT[1] and leads_to(world.lake) is not Generation.V2:
                done = ["cutover", "--force", "a test", "--execute"]
                assert call(*done, "--lake", str(world.lake.root))[0] == 0
            world.cron()
        assert world.files, number
        assert noticed(world, command), (number, command, leads_to(world.lake))
        # Whatever the command was, the next load mends it, and then nothing is amiss.
        code, report, _ = world.run("daily-update")
        assert code == 0, report
        assert not noticed(world, "status"), (number, command)
        assert world.wrote <= world.held(), number
    assert leads_to(world.lake) is Generation.V2
    code, report, _ = world.run("historical-load")
    assert code == 0, report
    assert report["v2"]["rows_new"] == report["v2"]["rows_changed"] == 0
    after = world.v2()
    assert all(set(before_all[name]) <= set(after[name]) for name in after)
