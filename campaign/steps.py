"""The steps of a trial, each as the command of its name does it, through the product's functions.

They run in a process of their own. A step returns what the model has to know of it: the companies
that it followed, and whether it read their whole history.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from campaign import published, switching
from campaign.facts import V1_SECTIONS, digest
from campaign.where import Done, Where
from expectations.answer import ACCEPTED_FILE, TOLERANCES_FILE
from flows.runs import recorded_run
from polygon_fundamentals import ledger, silver
from polygon_fundamentals.lake import catalogue
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.load import historical
from polygon_fundamentals.load.companies import resolve_bisecting
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.load.ratios import load_ratios
from polygon_fundamentals.load.recorded import import_v1
from polygon_fundamentals.load.window_v1 import update_v1
from polygon_fundamentals.load.window_v2 import Window, update_v2
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.run import compare_lake
from polygon_fundamentals.parity.tolerances import load_accepted, load_tolerances
from polygon_fundamentals.reports import LoadReport
from polygon_fundamentals.statements import V1_PATH, Generation, Statement, Timeframe
from polygon_fundamentals.v1_view.export import export_folder
from tasks.parity import drop_dead_work, drop_work, work_folder

ALL = Filters(timeframes=tuple(Timeframe))


def _some(where: Where, draw: int) -> list[str]:
    """Return all tickers, or one."""
    tickers = list(where.tickers)
    return tickers if draw % 3 else [tickers[draw // 3 % len(tickers)]]


@contextmanager
def _run(where: Where, flow: str, *writes: Generation, **parameters: Any) -> Iterator[ledger.Run]:
    with recorded_run(flow, where.lake, parameters, writes=writes, resume=True) as run:
        yield run


def _ended(run: ledger.Run, report: LoadReport, **more: Any) -> Done:
    ok = not report.failed
    text = report.failed[0].reason if report.failed else ""
    run.report.update(ok=ok, message=text)
    return Done(ok=ok, text=text, **more)


def load_v1(where: Where, draw: int) -> Done:
    """Load v1's whole history of some tickers."""
    loader, report, tickers = where.loader(), LoadReport(), _some(where, draw)
    with _run(where, "historical-load", Generation.V1, generation="v1", tickers=tickers) as run:
        todo = [t for t in tickers if ("v1", t, "all") not in run.done_before]
        for ticker in todo:
            report += historical.load_v1(loader, ticker, list(Statement), ALL)
            run.done([("v1", ticker, "all")])
        followed = {t: c for t, c in catalogue.companies(where.lake).items() if t in todo}
        whole = "v1" if todo == tickers else ""
        return _ended(run, report, followed=followed, whole=whole)


def load_v2(where: Where, draw: int) -> Done:
    """Load v2's whole history of some tickers."""
    loader, report, tickers = where.loader(), LoadReport(), _some(where, draw)
    with _run(where, "historical-load", Generation.V2, generation="v2", tickers=tickers) as run:
        companies, failures = resolve_bisecting(loader.client, where.lake, tickers)
        for ticker, error in failures.items():
            report += LoadReport.of_failure([(ticker, "all")], error)
        todo = [s for s in Statement if ("v2", s.value) not in run.done_before]
        for statement in todo:
            if companies:
                report += historical.load_v2_bisecting(loader, companies, statement, ALL)
            if not report.failed:
                run.done([("v2", statement.value)])
        whole = "v2" if len(todo) == len(Statement) else ""
        return _ended(run, report, followed=companies, whole=whole)


def refresh(where: Where, draw: int) -> Done:
    """Read v2 again and withdraw what is gone; now and then however much that is."""
    loader, report = where.loader(), LoadReport()
    scope = Scope.ACCEPTED if draw % 5 == 0 else Scope.COMPANIES
    with _run(where, "refresh", Generation.V2, scope=scope.value) as run:
        followed = {t: c for t, c in catalogue.companies(where.lake).items() if c}
        for statement in Statement:
            report += historical.load_v2_bisecting(loader, followed, statement, ALL, scope)
        return _ended(run, report, followed=followed, whole="v2")


def update(where: Where, draw: int) -> Done:
    """Load what was filed in the last days, in both generations."""
    loader, report = where.loader(), LoadReport()
    window = Window(where.day - timedelta(days=7 + draw % 30), where.day)
    lake = where.lake
    both = archived_since(lake) is None
    with _run(where, "daily-update", Generation.V2, **window.as_json()) as run:
        followed = catalogue.companies(lake)
        for statement in Statement:
            report += update_v2(loader, statement, window, list(Timeframe), followed, False)
        if both:
            report += update_v1(loader, list(Statement), window, list(Timeframe), followed)
        days = (window.first.isoformat(), window.last.isoformat()) if both else None
        return _ended(run, report, followed=followed, window=days)


def ratios(where: Where, draw: int) -> Done:
    """Store the present ratios."""
    with _run(where, "ratios") as run:
        return _ended(run, load_ratios(where.loader(), _some(where, draw)))


def parity(where: Where, draw: int) -> Done:
    """Compare both generations."""
    question = Question(
        load_tolerances(TOLERANCES_FILE), load_accepted(ACCEPTED_FILE), {}, where.day
    )
    with _run(where, "parity") as run:
        running = {entry.run for entry in ledger.read_entries(where.lake)[0] if entry.is_running}
        drop_dead_work(where.lake, running)
        try:
            for statement in Statement:
                folder = work_folder(where.lake, run.id) / statement.value
                compare_lake(where.lake, statement, question, folder)
        finally:
            drop_work(where.lake, run.id)
        return Done()


def build_silver(where: Where, draw: int) -> Done:
    """Build silver, now and then as of a past day."""
    day = where.day - timedelta(days=draw % 400) if draw % 4 == 0 else None
    with _run(where, "silver"):
        silver.build(where.lake, day=day)
        return Done()


def export(where: Where, draw: int) -> Done:
    """Write the lake in v1's form into a new folder."""
    folder = where.beside / f"export-{draw}"
    export_folder(where.lake, folder, list(Statement), continue_v1=bool(draw % 2))
    for path in folder.rglob("*.parquet"):
        pq.read_metadata(path)
    shutil.rmtree(folder)
    return Done()


def import_recordings(where: Where, draw: int) -> Done:
    """Import v1's answers, recorded in files as another tool leaves them."""
    client, recordings = where.loader().client, where.beside / f"recordings-{draw}"
    recordings.mkdir(exist_ok=True)
    for ticker in where.tickers:
        for number, page in enumerate(client.pages(V1_PATH, {"ticker": ticker, "limit": "100"})):
            (recordings / f"{ticker}-{number}.json").write_bytes(page.body)
    try:
        with _run(where, "import-v1", Generation.V1):
            report = import_v1(where.lake, [recordings])
            return Done(ok=not report.problems, followed=catalogue.companies(where.lake))
    finally:
        shutil.rmtree(recordings)


def write_as_old_script(where: Where, draw: int) -> str:
    """Append a v1 row through the pointer, as a cron script goes on to after the cutover.

    Returns what stands for the row in the model; nothing where the pointer is not v2's.
    """
    lake = where.lake
    if lake.primary is not Generation.V2:
        return ""
    statement = list(Statement)[draw % 3]
    files = sorted(lake.dataset(Generation.V2, statement).folder.glob("*/*/*.parquet"))
    path = files[draw % len(files)]
    old = pd.read_parquet(path, partitioning=None)
    year, month = int(path.parent.parent.name[5:]), int(path.parent.name[6:])
    line = ("assets", "net_cash_flow", "revenues")[draw % 3]
    row: dict[str, Any] = {
        "cik": "0000777777",
        "company_name": "Of the old script",
        "tickers": [str(old["ticker"][0])],
        "timeframe": "quarterly",
        "fiscal_period": f"Q{draw % 4 + 1}",
        "fiscal_year": 1990 + draw % 30,
        "start_date": date(1990, 1, 1),
        "end_date": date(1990, 1, 1) + timedelta(days=draw),
        "filing_date": date(year, month, 3),
        "financials": {V1_SECTIONS[statement][0]: {line: {"value": float(draw), "unit": "USD"}}},
    }
    pd.concat([old, pd.DataFrame([row])]).to_parquet(path)
    return digest("v1", statement, {**row, "fiscal_year": str(row["fiscal_year"])})


STEPS: dict[str, Callable[[Where, int], Done]] = {
    "load v1": load_v1,
    "load v2": load_v2,
    "refresh": refresh,
    "update": update,
    "ratios": ratios,
    "parity": parity,
    "silver": build_silver,
    "cutover": switching.cutover,
    "rollback": switching.rollback,
    "drill": switching.rehearse,
    "cleanup": switching.cleanup,
    "restore": switching.restore,
    "verify": switching.verify_lake,
    "export": export,
    "import": import_recordings,
    "publish": published.publish_silver,
}
