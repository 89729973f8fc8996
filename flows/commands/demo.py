"""The command `demo`: the migration once, on the sandbox, in a lake of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from flows.commands.output import program
from flows.parameters.declaration import Flag, Parameters
from flows.runtime import quiet
from polygon_fundamentals.errors import UsageError

if TYPE_CHECKING:
    from sandbox import Sandbox

KEY = "demo-key"
COMPANIES = 12
REQUESTS_PER_MINUTE = 60_000  # the limit is shown at work, not felt
DAYS_TO_PASS = 60  # no two months pass without a filing
SCREENS = 6
MARK = ".made-by-demo"
_THEIRS = ("PREFECT_", "POLYGON_", "MASSIVE_", "EDGAR_")


class DemoParameters(Parameters):
    """Where the demo keeps its lake, and whether v1 is gone in it."""

    lake: Annotated[str, Flag(metavar="DIR", help="the demo's own lake", unset="./demo-lake")] = (
        "demo-lake"
    )
    v1_retired: Annotated[
        bool, Flag(help="v1 answers 410 after the first load, and the demo ends on v2")
    ] = False


def run(given: DemoParameters, _: bool) -> int:
    """Run every step; stop at the first that ends otherwise than it should."""
    from polygon_fundamentals.business_days import today_in_new_york
    from sandbox import Sandbox

    lake = _fresh_lake(Path(given.lake))
    started = time.monotonic()
    _own_environment(lake)
    clock = today_in_new_york() - timedelta(days=DAYS_TO_PASS)
    with Sandbox(
        companies=COMPANIES, seed=7, api_key=KEY, start=date(clock.year - 4, 1, 1), today=clock
    ) as sandbox:
        _explain(
            f"A local stand-in for the API serves {COMPANIES} synthetic companies with "
            f"{len(sandbox.tickers)} tickers at {sandbox.url}; two of them have several, for share "
            "classes and units. It has the real one's oddities: moved filing dates, flipped signs, "
            "splits, rounded comparatives, delisted and renamed companies. This demo's lake is "
            f"{lake}."
        )
        (lake / "tickers.txt").write_text("\n".join(sandbox.tickers) + "\n", encoding="utf-8")
        # The same server answers as SEC EDGAR.
        os.environ |= {"EDGAR_DATA_URL": sandbox.url, "EDGAR_BASE_URL": sandbox.url}
        with _prefect(lake):
            code = _carried_out(_screens(lake, sandbox.url, given.v1_retired), sandbox)
    if code == 0:
        _headline(SCREENS, "Where to look")
        print(_last_screen(lake, time.monotonic() - started, given.v1_retired))
    return code


def _own_environment(lake: Path) -> None:
    """Leave the user's key, server and Prefect's database out of it; set the demo's."""
    for name in [n for n in os.environ if n.startswith(_THEIRS)]:
        del os.environ[name]
    quiet.apply()
    os.environ |= {
        "POLYGON_API_KEY": KEY,
        "EDGAR_IDENTITY": "Demo demo@example.com",
        "POLYGON_REQUESTS_PER_MINUTE": str(REQUESTS_PER_MINUTE),
        "PREFECT_HOME": str(lake / "prefect"),
        # The deployments name no lake, so the switch asks whose schedules they are.
        "QUANTLAKE_ROOT": str(lake),
    }


@contextmanager
def _prefect(lake: Path) -> Iterator[None]:
    """Serve Prefect with the deployments, as `serve` does, for as long as the demo runs."""
    from flows.runtime import serving

    home = lake / "prefect"
    home.mkdir()
    with serving.server(serving.free_port(), home / "server.log") as server:
        os.environ["PREFECT_API_URL"] = server.api
        from deployments.apply import deploy

        deploy(plan=False)
        print(f"While the demo runs, see its flow runs and schedules at {server.url}\n", flush=True)
        try:
            yield
        finally:
            serving.tell_all()


def _carried_out(screens: list[Screen], sandbox: Sandbox) -> int:
    """Show the screens; return the exit code of the first step that ends otherwise, else 0."""
    for number, screen in enumerate(screens, 1):
        _headline(number, screen.title)
        _explain(screen.why)
        sandbox.v1_retired |= screen.retires_v1
        if screen.days_pass:
            sandbox.advance(days=screen.days_pass)
            # A company gives another figure for an earlier quarter.
            sandbox.plant(
                "restated", statement="balance_sheets", field="property_plant_equipment_net"
            )
        for step in screen.steps:
            code = _carry_out(step)
            if code not in step.ends_with:
                words = shlex.join(step.words)
                print(f"error: {words!r} ended with {code}, not {step.ends_with}", file=sys.stderr)
                return code or 1
    return 0


@dataclass(frozen=True)
class Step:
    """One command of the demo: its words, and the exit codes that are right for it."""

    words: list[str]
    ends_with: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Screen:
    """A screen of the demo: what it is about, and its commands."""

    title: str
    why: str
    steps: tuple[Step, ...]
    days_pass: int = 0
    retires_v1: bool = False


def _screens(lake: Path, url: str, v1_retired: bool) -> list[Screen]:
    here = ["--lake", str(lake)]
    api = [*here, "--base-url", url]
    history = Step(["historical-load", "--tickers-file", str(lake / "tickers.txt"), *api])
    return [
        Screen(
            "Load",
            "Loads the history of both generations, then loads it again: no file is changed.",
            (history, history),
        ),
        Screen(
            "Update",
            f"{DAYS_TO_PASS} days pass. "
            + (
                "Meanwhile v1 is switched off: it answers 410, as it does for most since 9 October "
                "2026. Loads what was filed from v2; v1 stays as it is."
                if v1_retired
                else "Loads what was filed in them from both APIs."
            ),
            (Step(["daily-update", "--days-back", str(DAYS_TO_PASS), *api]),),
            days_pass=DAYS_TO_PASS,
            retires_v1=v1_retired,
        ),
        Screen(
            "Compare",
            "Compares the two generations value by value, and explains what differs. The SEC's "
            "filings, which the sandbox serves too, prove a restatement.",
            (Step(["parity", "--witness", "edgar", *api], (0, 1)),),
        ),
        Screen(
            "Read and watch",
            "Builds the silver table from the generation that readers see, v1, and shows both "
            "pipelines side by side.",
            (Step(["silver", *here]), Step(["status", *here], (0, 1))),
        ),
        _switch(here, v1_retired),
    ]


def _switch(here: list[str], v1_retired: bool) -> Screen:
    """Return the screen of the cutover, which is undone unless v1 is retired."""
    rehearsed = (
        Step(["drill", *here]),
        Step(["checklist", *here], (1,)),
        Step(["cutover", "--execute", "--force", "a demo", *here]),
    )
    why = (
        "Rehearses the switch on a copy made of links. For a real cutover, much of the "
        "checklist is still unmet (exit code 1). The demo switches anyway: bronze/fundamentals "
    )
    if v1_retired:
        why += "leads to v2 from now on, and the daily update loads v2 alone."
        return Screen("Switch", why, (*rehearsed, Step(["status", *here], (0, 1))))
    why += "leads to v2, and seconds later to v1 again."
    return Screen("Switch and back", why, (*rehearsed, Step(["rollback", "--execute", *here])))


def _headline(number: int, title: str) -> None:
    from rich.console import Console
    from rich.rule import Rule

    print()
    width = None if sys.stdout.isatty() else 80
    Console(width=width).print(Rule(f"{number} of {SCREENS} · {title}", align="left"))


def _explain(text: str) -> None:
    """Print a paragraph that fits into any terminal; an address is never broken."""
    print(textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False), flush=True)


def _carry_out(step: Step) -> int:
    from flows.__main__ import main

    print(f"\n$ {program()} {shlex.join(step.words)}", flush=True)
    return main(step.words)


def _fresh_lake(lake: Path) -> Path:
    """Return an empty folder for the demo; only a lake of an earlier demo is removed."""
    lake = lake.absolute()
    if lake.exists() and any(lake.iterdir()) and not (lake / MARK).exists():
        raise UsageError(f"{lake} has files that no demo made; name another folder with --lake")
    if (lake / MARK).exists():
        print(f"The lake of the last demo, {lake}, is removed.", flush=True)
    shutil.rmtree(lake, ignore_errors=True)
    lake.mkdir(parents=True)
    (lake / MARK).touch()
    return lake


def _last_screen(lake: Path, seconds: float, v1_retired: bool) -> str:
    """Return where the review page is, what to try next, and where the data is."""
    page = lake / "ops" / "parity" / "data_docs" / "review.html"
    at = f"--lake {shlex.quote(str(lake))}"
    places = {
        "bronze/fundamentals": "what readers open: v1's files, after a cutover v2's",
        "bronze/fundamentals_v2": "the same companies from the official API",
        "silver/fundamentals_wide": "one table, whichever generation is primary",
        "ops/revisions": "every row that was superseded, as it was",
    }
    return "\n".join(
        [
            f"Done in {seconds:.0f} s. Open the review page: what differs, and why:",
            f"  {page}",
            "",
            "Three commands to try next:",
            f"  .venv/bin/polygon-fundamentals status {at}",
            *_switching(at, v1_retired),
            "  # needs POLYGON_API_KEY",
            "  .venv/bin/polygon-fundamentals fundamentals AAPL --use-v2",
            "",
            f"In {lake}:",
            *(f"  {name:<26}{what}" for name, what in places.items()),
            "To see its flow runs in Prefect's UI, until Ctrl-C, run:",
            f"  PREFECT_HOME={lake / 'prefect'} .venv/bin/prefect server start",
        ]
    )


def _switching(at: str, v1_retired: bool) -> list[str]:
    """Return the command to try that changes what readers see, after a comment on it."""
    if v1_retired:
        return [
            "  # shows what going back to the frozen v1 would do; `--execute` does it",
            f"  .venv/bin/polygon-fundamentals rollback {at}",
        ]
    return [
        "  # leads this lake's readers to v2; `rollback --execute` leads them back",
        f"  .venv/bin/polygon-fundamentals cutover --execute --force training {at}",
    ]
