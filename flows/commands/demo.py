"""The command `demo`: the migration once, on the sandbox, in a lake of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from flows.parameters import Flag, Parameters
from flows.runtime import quiet
from polygon_fundamentals.errors import UsageError

if TYPE_CHECKING:
    from sandbox import Sandbox

KEY = "demo-key"
COMPANIES = 12
REQUESTS_PER_MINUTE = 60_000  # the limit is shown at work, not felt
DAYS_TO_PASS = 60  # no two months pass without a filing
MARK = ".made-by-demo"
_THEIRS = ("PREFECT_", "POLYGON_", "MASSIVE_", "EDGAR_")


class DemoParameters(Parameters):
    """Where the demo keeps its lake."""

    lake: Annotated[str, Flag(metavar="DIR", unset="./demo-lake")] = "demo-lake"


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
        print(
            f"A local stand-in for the API serves {COMPANIES} synthetic companies at {sandbox.url}."
            "\nIt has the real one's oddities: moved filing dates, flipped signs, splits, rounded"
            f"\ncomparatives, delisted and renamed companies. The lake of this demo is {lake}.",
            flush=True,
        )
        (lake / "tickers.txt").write_text("\n".join(sandbox.tickers) + "\n", encoding="utf-8")
        # The same server answers as SEC EDGAR.
        os.environ |= {"EDGAR_DATA_URL": sandbox.url, "EDGAR_BASE_URL": sandbox.url}
        with _prefect(lake):
            code = _carried_out(lake, sandbox)
    if code == 0:
        print(_last_screen(lake, time.monotonic() - started))
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
        print(f"While it runs, its runs and schedules can be looked at: {server.url}\n", flush=True)
        try:
            yield
        finally:
            serving.tell_all()


def _carried_out(lake: Path, sandbox: Sandbox) -> int:
    """Run the steps; return the exit code of the first that ends otherwise, else 0."""
    for number, step in enumerate(_steps(lake, sandbox.url), 1):
        if step.days_pass:
            sandbox.advance(days=step.days_pass)
            # A company gives another figure for an earlier quarter.
            sandbox.plant(
                "restated", statement="balance_sheets", field="property_plant_equipment_net"
            )
        code = _carry_out(number, step)
        if code not in step.ends_with:
            print(f"error: step {number} ended with {code}, not {step.ends_with}", file=sys.stderr)
            return code or 1
    return 0


@dataclass(frozen=True)
class Step:
    """One command of the demo: why, its words, and the exit codes that are right for it."""

    why: str
    words: list[str]
    ends_with: tuple[int, ...] = (0,)
    days_pass: int = 0


def _steps(lake: Path, url: str) -> list[Step]:
    here = ["--lake", str(lake)]
    api = [*here, "--base-url", url]
    history = ["historical-load", "--tickers-file", str(lake / "tickers.txt"), *api]
    return [
        Step("Load the history of both generations.", history),
        Step("Load it again: nothing changes, no file is touched.", history),
        Step(
            f"{DAYS_TO_PASS} days pass; take in what was filed in them.",
            ["daily-update", "--days-back", str(DAYS_TO_PASS), *api],
            days_pass=DAYS_TO_PASS,
        ),
        Step(
            "Compare both, value by value, and build the data docs. What differs is explained; the "
            "SEC's filings, which the sandbox has too, prove a restatement.",
            ["parity", "--witness", "edgar", *api],
            (0, 1),
        ),
        Step("Build the silver table from the generation that readers see: v1.", ["silver", *here]),
        Step(
            "Both pipelines side by side.",
            ["status", *here],
            (0, 1),
        ),
        Step("Rehearse the cutover and the rollback on a copy made of links.", ["drill", *here]),
        Step(
            "What still stands between here and the cutover? Much (exit code 1).",
            ["checklist", *here],
            (1,),
        ),
        Step(
            "Switch all the same: bronze/fundamentals now leads to v2.",
            ["cutover", "--execute", "--force", "a demo", *here],
        ),
        Step("And back, in seconds.", ["rollback", "--execute", *here]),
    ]


def _carry_out(number: int, step: Step) -> int:
    from flows.__main__ import main

    print(f"{number}. {step.why}\n   $ python -m flows {shlex.join(step.words)}", flush=True)
    code = main(step.words)
    print(flush=True)
    return code


def _fresh_lake(lake: Path) -> Path:
    """Return an empty folder for the demo; only a lake of an earlier demo is removed."""
    lake = lake.absolute()
    if lake.exists() and any(lake.iterdir()) and not (lake / MARK).exists():
        raise UsageError(f"{lake} is not empty and not of an earlier demo; name another --lake")
    shutil.rmtree(lake, ignore_errors=True)
    lake.mkdir(parents=True)
    (lake / MARK).touch()
    return lake


def _last_screen(lake: Path, seconds: float) -> str:
    """Return where to look, in the order in which a newcomer would."""
    pages = sorted(lake.rglob("index.html"), key=lambda path: len(path.parts))
    file = max((lake / "bronze" / "fundamentals_v2").rglob("*.parquet"))
    places = [
        (lake / "bronze" / "fundamentals", "what readers open; before a cutover v1's files"),
        (lake / "bronze" / "fundamentals_v2", "the same companies from the official API"),
        (lake / "silver" / "fundamentals_wide", "one table, whichever generation is primary"),
        *((page, "the data docs of the comparison: open it in a browser") for page in pages[:1]),
        (lake / "ops" / "revisions", "every row that was superseded, as it stood"),
        (lake / "ops" / "runs", "one small file a run: what it did, and how it ended"),
    ]
    width = max(len(str(path)) for path, _ in places)
    return "\n".join(
        [
            f"Done in {seconds:.0f} s. Where to look:",
            *(f"  {path!s:<{width}}  {what}" for path, what in places),
            "Read one of the files:",
            f"  .venv/bin/python -c \"import pandas as pd; print(pd.read_parquet('{file}').T)\"",
            "Its flow runs in Prefect's UI, until Ctrl-C:",
            f"  PREFECT_HOME={lake / 'prefect'} .venv/bin/prefect server start",
            "With your own key (POLYGON_API_KEY in the environment):",
            "  .venv/bin/python -m flows fundamentals AAPL --use-v2",
            "Every command: .venv/bin/python -m flows --help; the migration: docs/migration.md",
        ]
    )
