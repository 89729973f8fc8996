"""The scenario behind the golden files: what commands answer and write, on a small sandbox."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flows.__main__ import main
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.locks import exclusive
from sandbox import Sandbox
from tests.conftest import KEY
from tests.contract.golden_values import normalised, without_marks

GOLDENS = Path(__file__).parent / "goldens"
TODAY = date(2026, 7, 1)
ENVIRONMENT = {
    "POLYGON_API_KEY": KEY,
    "POLYGON_PROCESSES": "1",
    "POLYGON_THREADS": "2",
    "POLYGON_RETRY_DEADLINE": "1",
    "POLYGON_RETRY_ATTEMPTS": "1",
}
CONTACTS = """
[migration_lead]
name = "Ada"
[rollback_authority]
name = "Bob"
[sign_offs]
training = ["migration_lead"]
"""
TARGETS = (
    "".join(
        f'[targets.{name}]\ntitle = "{name}"\nunit = ""\ntarget = 1e9\nacceptable = 1e9\n'
        for name in ("download", "storage", "memory", "lag")
    )
    + '[targets.requests]\ntitle = "requests"\nunit = ""\ntarget = 1e-9\nacceptable = 1e-9\n'
    "higher_is_better = true\n"
)


@dataclass
class World:
    """A lake in a folder and what was answered so far: step → command, exit code, answer."""

    folder: Path
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        """The lake that the commands work on."""
        return Lake(self.folder / "lake")

    def call(self, step: str, *words: str, lake: Path | None = None, url: str = "") -> Any:
        """Run a command with `--json` in this process, note how it ended, return its answer."""
        given = [*words, "--json", "--lake", str(lake or self.lake.root)]
        given += ["--base-url", url] if url else []
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(given)
            except SystemExit as error:  # argparse
                code = int(str(error.code))
        text = out.getvalue()
        assert step not in self.answers, step
        self.answers[step] = {
            "command": [without_marks(word) for word in words],
            "exit_code": code,
            "answer": normalised(json.loads(text)) if text else None,
        }
        return json.loads(text) if text else None

    def status(self, step: str) -> None:
        """Note the status; its targets are such that a slow machine meets them too."""
        self.call(step, "status", "--targets", str(self.folder / "targets.toml"))

    def entries(self, folder: str) -> list[Any]:
        """Return the files of `ops/<folder>`, oldest first."""
        files = sorted((self.lake.ops / folder).glob("*.json"))
        return [normalised(json.loads(path.read_text())) for path in files]

    def results(self) -> dict[str, Any]:
        """Return file name of the golden → its content."""
        return {
            "answers": self.answers,
            "ledger": self.entries("runs"),
            "journals": self.entries("cutover"),
        }


@contextlib.contextmanager
def surroundings(folder: Path) -> Iterator[Sandbox]:
    """Serve the market, with the environment and the contacts of the scenario."""
    contacts = folder / "contacts.toml"
    contacts.write_text(CONTACTS)
    (folder / "targets.toml").write_text(TARGETS)
    with contextlib.ExitStack() as patched:
        patched.enter_context(patch.dict(os.environ, ENVIRONMENT))
        import flows.switching  # noqa: F401 - so that its name is there to be replaced

        for module in [m for n, m in sys.modules.items() if n.split(".")[0] == "flows"]:
            if hasattr(module, "CONTACTS"):
                patched.enter_context(patch.object(module, "CONTACTS", contacts))
        yield patched.enter_context(
            Sandbox(companies=3, seed=3, quirks=False, start=date(2025, 1, 1), today=TODAY)
        )


def side_by_side(world: World, market: Sandbox) -> None:
    """Load, update and look: both generations side by side."""
    call, url, ticker = world.call, market.url, market.tickers[0]
    both = ["historical-load", "--generation", "both", "--tickers", ",".join(market.tickers)]
    since = ["--filing-date-gte", "2025-06-01"]
    call("no lake", "status")
    call("no day", "historical-load", "--tickers", "A", "--from", "2024-13-01")
    call("unknown option", "historical-load", "--no-such-option")
    call("load", *both, url=url)
    call("load again", *both, "--original-dates", url=url)
    call("fundamentals", "fundamentals", ticker, "--use-v2", *since, url=url)
    call("no such ticker", "fundamentals", "NOSUCH", *since, url=url)
    call("daily update", "daily-update", "--date", str(TODAY), "--days-back", "400", url=url)
    call("refresh", "refresh", url=url)
    call("silver", "silver")
    call("export", "export", "--shape", "v1", "--ticker", ticker, "--statement", "cash_flow")
    call("export nothing", "export", "--shape", "v1", "--ticker", "NOSUCH")
    world.status("status")
    with exclusive(world.lake.lock("writers")):
        call("locked", "cutover", "--execute", "--force", "test", "--wait-minutes", "0")


def switch(world: World, market: Sandbox) -> None:
    """Switch over and back, clean up and restore."""
    call, url = world.call, market.url
    call("checklist", "checklist", "--record-checksums")
    call("sign off", "sign-off", "training", "--by", "Ada")
    call("sign off by nobody", "sign-off", "training", "--by", "Eve")
    call("cutover plan", "cutover")
    call("cutover refused", "cutover", "--execute")
    call("nothing to roll back", "rollback")
    call("drill", "drill")
    call("cutover", "cutover", "--execute", "--force", "test")
    call("cutover again", "cutover", "--execute", "--force", "test")
    world.status("status after the cutover")
    call("rollback plan", "rollback", "--accept-stale")
    call("rollback", "rollback", "--execute", "--accept-stale")
    call("cutover once more", "cutover", "--execute", "--force", "test")
    call("cleanup too early", "cleanup")
    call("cleanup refused", "cleanup", "--execute")
    days = ("--deployments-days", "0", "--data-days", "0")
    call("cleanup plan", "cleanup", *days)
    call("cleanup", "cleanup", "--execute", *days)
    call("archived", "historical-load", "--generation", "v1", "--tickers", "A", url=url)
    call("restore plan", "restore")
    call("restore", "restore", "--execute")
    world.status("status at the end")


def troubles(world: World, market: Sandbox) -> None:
    """Loads that fail: v1 gone for good, a plan without v2, a key unknown."""
    call, url, ticker = world.call, market.url, market.tickers[0]
    load = ["historical-load", "--generation", "both", "--tickers", ticker]
    market.v1_retired = True
    call("v1 retired", *load, url=url)
    call("daily update, v1 retired", "daily-update", "--date", str(TODAY), url=url)
    world.status("status, v1 retired")
    call("checklist, v1 retired", "checklist")
    market.v1_retired, market.entitled = False, ("v1",)
    call("refresh, v2 not in the plan", "refresh", url=url)
    market.entitled, market.api_key = ("v1", "v2"), "another"
    since = ["--filing-date-gte", "2025-06-01"]
    call("unknown key", "fundamentals", ticker, *since, url=url)
    world.status("status, after failures")


def comparing(world: World, market: Sandbox) -> None:
    """Parity of a lake that lacks something, of a whole one and of a sample; what takes long."""
    call, url = world.call, market.url
    load = ["historical-load", "--tickers", ",".join(market.tickers)]
    call("load v1", *load, "--generation", "v1", url=url)
    call("load a part of v2", *load, "--generation", "v2", "--to", "2025-12-31", url=url)
    call("parity not passed", "parity", url=url)
    world.status("status, parity not passed")
    call("load v2", *load, "--generation", "v2", url=url)
    call("parity", "parity", url=url)
    sample = ("--sample", "1", "--seed", "4")
    call("parity of a sample", "parity", "--date", str(TODAY), *sample, url=url)
    call("silver as of a day", "silver", "--as-of", "2026-03-31")
    call("export all", "export", "--shape", "v1", "--output", str(world.folder / "exported"))
    call("cutover", "cutover", "--execute", "--force", "test")
    call("delayed rollback plan", "rollback", "--delayed", url=url)
    call("delayed rollback", "rollback", "--delayed", "--execute", url=url)


SCENARIOS: dict[str, Sequence[Callable[[World, Sandbox], None]]] = {
    "migration": (side_by_side, switch),
    "troubles": (troubles,),
    "comparing": (comparing,),
}


def played(scenario: str, folder: Path) -> dict[str, Any]:
    """Return golden's name → content of a scenario, carried out in an empty folder."""
    world = World(folder)
    with surroundings(folder) as market:
        for part in SCENARIOS[scenario]:
            part(world, market)
    return world.results()
