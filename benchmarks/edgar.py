"""What EDGAR costs and settles, for some companies of the sandbox and for its nightly zips.

    python -m benchmarks.edgar market [COMPANIES [FOLDER]]  requests, bytes, dates, settled values
    python -m benchmarks.edgar zips [COMPANIES MEMBERS]     memory and time of the two nightly zips

Prints lines. Each step runs in a process of its own, whose peak memory it prints.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import date, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.measure import measured
from benchmarks.server import KEY, SEED
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.edgar import FACTS_ZIP, SUBMISSIONS_ZIP, Edgar, EdgarLimit
from polygon_fundamentals.reference.edgar_cache import EdgarCache, ask, reports_of
from polygon_fundamentals.settings import Settings, load_edgar_settings

TODAY = date(2026, 7, 1)
START = date(2018, 1, 1)
# Each company's companyfacts come again under so many other names.
_DISTINCT = 40


def market(companies: str = "300", folder: str | None = None) -> None:
    """Load a lake from the sandbox, date its periods, ask EDGAR, settle the differences.

    Of a `folder` that is given the lake is kept, and what is in it is not loaded again.
    """
    from sandbox import Sandbox

    with (
        nullcontext(folder) if folder else tempfile.TemporaryDirectory() as folder,
        Sandbox(companies=int(companies), seed=SEED, api_key=KEY, start=START, today=TODAY) as box,
    ):
        _addresses(box.url)
        kinds = (("restated", None), ("wrong_value", "v2"), ("wrong_value", "v1"))
        for number, ticker in enumerate(sorted(box.tickers)):
            kind, generation = kinds[number % 3]
            extra = {} if generation is None else {"generation": generation}
            with suppress(ValueError):  # a delisted company, which v2 does not have
                box.plant(kind, ticker=ticker, **extra)
        (Path(folder) / "tickers.json").write_text(json.dumps(list(box.tickers)))
        truth = [(c, e, d) for c, days in box.edgar.reports().items() for e, d in days]
        (Path(folder) / "truth.json").write_text(json.dumps(truth))
        for step in ("load", "index", "ask 0", "ask 0", "ask 1", "dates", "settle"):
            box.edgar.busiest_second = 0
            _apart(folder, box.url, *step.split())
            if step.startswith("ask"):
                print(f"  the busiest second at the server: {box.edgar.busiest_second} requests")


def zips(companies: str = "1000", members: str = "1000000") -> None:
    """Make both zips at a realistic size, and take what some companies have out of them."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        sizes = _make_zips(site, int(companies), int(members))
        print(f"companyfacts.zip: {companies} members, {sizes[0] / 1e6:,.0f} MB uncompressed, "
              f"{(site / FACTS_ZIP[1:]).stat().st_size / 1e6:,.0f} MB; submissions.zip: "
              f"{int(members):,} members, {(site / SUBMISSIONS_ZIP[1:]).stat().st_size / 1e6:,.0f}"
              " MB")  # fmt: skip
        handler = partial(_Quiet, directory=str(site))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}"
            _addresses(url)
            _apart(folder, url, "unzip", companies)
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


def _make_zips(site: Path, companies: int, members: int) -> tuple[int, int]:
    from sandbox import Sandbox

    paths = [site / address[1:] for address in (FACTS_ZIP, SUBMISSIONS_ZIP)]
    for path in paths:
        path.parent.mkdir(parents=True)
    with Sandbox(companies=_DISTINCT, seed=SEED, start=date(2009, 1, 1), today=TODAY) as box:
        ciks = sorted(box.edgar.reports())
        facts = [json.dumps(box.edgar._facts(cik)).encode() for cik in ciks]
        filings = [json.dumps(box.edgar._submissions(cik, None)).encode() for cik in ciks]
    size = [0, 0]
    level = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 1}
    with zipfile.ZipFile(paths[0], "w", **level) as archive:  # type: ignore[arg-type]
        for number in range(companies):
            body = facts[number % len(facts)]
            archive.writestr(f"CIK{number:010d}.json", body)
            size[0] += len(body)
    with zipfile.ZipFile(paths[1], "w") as archive:
        for number in range(members):
            body = filings[number % len(filings)] if number < companies else b"{}"
            archive.writestr(f"CIK{number:010d}.json", body)
            size[1] += len(body)
    return size[0], size[1]


def _addresses(url: str) -> None:
    os.environ |= {
        "EDGAR_IDENTITY": "Benchmark benchmark@example.com",
        "EDGAR_DATA_URL": url,
        "EDGAR_BASE_URL": url,
    }


def _apart(folder: str, url: str, *words: str) -> None:
    command = [sys.executable, "-m", "benchmarks.edgar", "step", folder, url, *words]
    logs = Path(folder) / "logs"
    done = measured(command, Path(__file__).parents[1], os.environ, logs, seconds=3_600)
    print(done.printed + done.errors, end="")
    print(f"  all its processes: {done.cpu:.1f} s of processor time, {done.peak / 1e6:,.0f} MB at "
          f"once ({done.peak_is})", flush=True)  # fmt: skip
    if done.exit_code:
        raise SystemExit(done.exit_code)


def step(folder: str, url: str, name: str, *words: str) -> None:
    """Carry out one step in this process; print what it came to, its time and its memory."""
    lake = Lake(Path(folder) / "lake")
    lake.prepare()
    before, started = time.process_time(), time.monotonic()
    steps = {"load": _load, "index": _index, "ask": _ask, "dates": _dates, "settle": _settle,
             "unzip": _unzip}  # fmt: skip
    for line in steps[name](Path(folder), lake, url, *words):
        print(f"  {line}")
    seconds, cpu = time.monotonic() - started, time.process_time() - before
    here, child = (
        resource.getrusage(who).ru_maxrss / 1e6
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"{' '.join((name, *words))}: {seconds:.1f} s, {cpu:.1f} s of processor time here, "
          f"at most {here:.2f} GB, and {child:.2f} GB in a child", flush=True)  # fmt: skip


def _client(url: str) -> Any:
    from polygon_fundamentals.http.client import Client

    return Client(Settings(base_url=url), KEY)


def _tickers(folder: Path) -> list[str]:
    return list(json.loads((folder / "tickers.json").read_text()))


def _load(folder: Path, lake: Lake, url: str) -> Sequence[str]:
    from polygon_fundamentals.load.historical import load_v1, load_v2_bisecting
    from polygon_fundamentals.load.loader import Loader
    from polygon_fundamentals.load.query import Filters
    from polygon_fundamentals.statements import Statement, Timeframe

    loader, filters = Loader(_client(url), lake), Filters(timeframes=tuple(Timeframe))
    loaded = {path.name for path in lake.root.rglob("ticker=*.parquet")}

    def load(ticker: str) -> None:
        load_v1(loader, ticker, list(Statement), filters)
        for statement in Statement:
            load_v2_bisecting(loader, {ticker: []}, statement, filters)

    wanted = [t for t in _tickers(folder) if f"ticker={t}.parquet" not in loaded]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(load, wanted))
    return [f"{len(_tickers(folder))} tickers"]


def _index(folder: Path, lake: Lake, url: str) -> Sequence[str]:
    """Return what dates were wrong before EDGAR: v2's own filing date, and the vendor's index."""
    from polygon_fundamentals.reference.original_dates import date_periods, periods_of

    periods = periods_of(lake, _tickers(folder)).dropna(subset=["bound"])
    own = {
        (cik, end.date()): bound.date()
        for cik, end, bound in periods[["cik", "period_end", "bound"]].itertuples(index=False)
    }
    date_periods(lake, _client(url), _tickers(folder))
    return [_wrong("v2's own filing date", own, folder), *_wrong_by_source(lake, folder)]


def _ask(folder: Path, lake: Lake, url: str, days: str) -> Sequence[str]:
    from polygon_fundamentals.reference.original_dates import companies_of

    ciks = sorted(companies_of(lake, _tickers(folder))["cik"].unique())
    return [_asked(lake, ciks, TODAY + timedelta(days=int(days)))]


def _asked(lake: Lake, ciks: Sequence[str], day: date) -> str:
    settings = load_edgar_settings()
    assert settings is not None
    started = time.monotonic()
    cache = EdgarCache(lake)
    report = ask(cache, Edgar(settings, EdgarLimit(lake, settings)), ciks, day, with_facts=True)
    seconds = time.monotonic() - started
    stored = sum(path.stat().st_size for path in cache.folder.rglob("*.parquet"))
    return (
        f"{report.companies:,} companies, {report.companies_asked:,} asked, {report.requests:,} "
        f"requests, {report.body_bytes / 1e6:,.1f} MB, {seconds:.1f} s "
        f"({report.requests / seconds:.1f} a second); cache {stored / 1e6:,.1f} MB; {report.note}"
    )


def _dates(folder: Path, lake: Lake, url: str) -> Sequence[str]:
    from polygon_fundamentals.reference.original_dates import date_periods

    counts = date_periods(
        lake, _client(url), _tickers(folder), partial(reports_of, EdgarCache(lake))
    )
    return [json.dumps(counts | {"late_ciks": len(counts["late_ciks"])}),
            *_wrong_by_source(lake, folder)]  # fmt: skip


def _wrong_by_source(lake: Lake, folder: Path) -> list[str]:
    from polygon_fundamentals.reference.original_dates import load_dates

    by_source: dict[str, dict[tuple[str, date], date]] = {}
    for row in load_dates(lake).to_pylist():
        dates = by_source.setdefault(row["source"], {})
        dates[row["cik"], row["period_end"]] = row["first_filing_date"]
    return [_wrong(source, dates, folder) for source, dates in by_source.items()]


def _wrong(what: str, dates: dict[tuple[str, date], date], folder: Path) -> str:
    epoch = date(1970, 1, 1)
    true = {
        (cik, epoch + timedelta(days=end)): epoch + timedelta(days=day)
        for cik, end, day in json.loads((folder / "truth.json").read_text())
    }
    known = {key: day for key, day in dates.items() if key in true}
    off = sorted(abs((day - true[key]).days) for key, day in known.items() if day != true[key])
    text = f"{what}: {len(known):,} periods, {len(off):,} wrong"
    if off:
        text += f", by {off[0]} to {off[-1]:,} days, half of them by {off[len(off) // 2]} or more"
    return text + f"; {len(dates) - len(known)} periods that no report has"


def _settle(folder: Path, lake: Lake, url: str) -> Sequence[str]:
    from expectations.answer import TOLERANCES_FILE
    from polygon_fundamentals.parity.findings import StatementFindings
    from polygon_fundamentals.parity.plan import Question
    from polygon_fundamentals.parity.run import compare_lake
    from polygon_fundamentals.parity.tolerances import load_tolerances
    from polygon_fundamentals.parity.witness_facts import CompanyFacts
    from polygon_fundamentals.parity.witness_run import open_companies, settle
    from polygon_fundamentals.statements import Statement

    question = Question(load_tolerances(TOLERANCES_FILE), (), {}, TODAY)
    founds: list[StatementFindings] = []
    for statement in Statement:
        out = folder / "findings" / statement.value
        out.mkdir(parents=True)
        founds.append(compare_lake(lake, statement, question, out).findings)
    cache = EdgarCache(lake)

    def facts(cik: str) -> CompanyFacts | None:
        entry = cache.facts(cik)
        return None if entry is None or entry.note.nothing else CompanyFacts.of(cik, entry.rows)

    compared = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before, started = time.process_time(), time.monotonic()
    companies = open_companies(founds)
    report = settle(lake, founds, companies, facts, {})
    seconds, cpu = time.monotonic() - started, time.process_time() - before
    return [
        f"settle alone: {len(companies)} companies with open differences, {seconds:.1f} s, "
        f"{cpu:.1f} s of processor time; comparing took {compared / 1e6:.2f} GB before",
        f"settled {dict(report.settled)}; evidence {dict(report.evidence)}; without facts "
        f"{report.companies_without_facts}",
    ]


def _unzip(folder: Path, lake: Lake, url: str, companies: str) -> Sequence[str]:
    from polygon_fundamentals.reference import edgar_cache

    edgar_cache.ARCHIVES_FROM = 1  # whatever their number, from the zips
    shutil.rmtree(EdgarCache(lake).folder, ignore_errors=True)
    return [_asked(lake, [f"{number:010d}" for number in range(int(companies))], TODAY)]


if __name__ == "__main__":
    {"market": market, "zips": zips, "step": step}[sys.argv[1]](*sys.argv[2:])
