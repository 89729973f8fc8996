"""The command `demo`: the migration once, on the sandbox, in a lake of its own."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import time
from datetime import date
from pathlib import Path

from polygon_fundamentals.errors import UsageError

KEY = "demo-key"
COMPANIES = 12
TODAY = date(2026, 7, 1)
MARK = ".made-by-demo"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `demo`."""
    parser.add_argument("--lake", metavar="DIR", default="demo-lake", help="(./demo-lake)")


def run(given: argparse.Namespace) -> int:
    """Run every step; return the first exit code that is not what the step expects."""
    from polygon_fundamentals.sandbox import Sandbox

    lake = _fresh_lake(Path(given.lake))
    os.environ["POLYGON_API_KEY"] = KEY
    started = time.monotonic()
    with Sandbox(companies=COMPANIES, seed=7, api_key=KEY, today=TODAY) as sandbox:
        print(
            f"A local stand-in for the API serves {COMPANIES} synthetic companies at {sandbox.url}."
            f"\nThe lake of this demo is {lake}.\n"
        )
        (lake / "tickers.txt").write_text("\n".join(sandbox.tickers) + "\n", encoding="utf-8")
        for number, (why, words) in enumerate(_steps(lake, sandbox.url), 1):
            code = _step(number, why, words)
            if code:
                return code
    print(_last_screen(lake, time.monotonic() - started))
    return 0


def _steps(lake: Path, url: str) -> list[tuple[str, list[str]]]:
    where = ["--lake", str(lake), "--base-url", url]
    history = [
        "historical-load",
        "--generation",
        "both",
        "--from",
        "2021-01-01",
        "--tickers-file",
        str(lake / "tickers.txt"),
        *where,
    ]
    return [
        ("Load the history of both generations", history),
        ("Load it again: nothing changes, no file is touched", history),
    ]


def _step(number: int, why: str, words: list[str]) -> int:
    from flows.__main__ import main

    print(f"{number}. {why}\n   $ python -m flows {shlex.join(words)}", flush=True)
    code = main(words)
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
    files = sorted((lake / "bronze" / "fundamentals").rglob("*.parquet"))
    return "\n".join(
        [
            f"Done in {seconds:.0f} s. Where to look:",
            f"  {lake}/bronze/fundamentals      what readers open: v1's files until the cutover",
            f"  {lake}/bronze/fundamentals_v2   the same companies from the official API",
            f"  {lake}/ops/runs                 one small file a run: what was done, and how it "
            "ended",
            "Read one of the files:",
            f"  .venv/bin/python -c \"import pandas as pd; print(pd.read_parquet('{files[-1]}').T)\"",
            "With your own key:",
            "  export POLYGON_API_KEY=...   and   .venv/bin/python -m flows fundamentals AAPL "
            "--use-v2",
        ]
    )
