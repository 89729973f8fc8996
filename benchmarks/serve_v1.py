"""What `serve-v1` costs: its start, its memory, one ticker's quarters, the whole market.

    python -m benchmarks.serve_v1 --companies 300 --work DIR

The load is made by locust, which BENCH_PYTHON has (`make bench` installs it), and by wrk where it
is on the PATH. The lake is filled from the sandbox once and stays in DIR. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import requests

from benchmarks.serve_v1_clients import GENERATORS, USERS, Generator
from polygon_fundamentals.lake import Lake

KEY = "benchmark-key"
PATH = "/vX/reference/financials"
BEARER = {"Authorization": f"Bearer {KEY}"}
HERE = Path(__file__).parent
Note = Callable[[str, str], None]  # what was measured, its figure


class Server:
    """`serve-v1` of a lake, and the memory of all of its processes, sampled."""

    def __init__(self, lake: Path) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows", "serve-v1", "--lake", str(lake), "--port", "0"],
            env={**os.environ, "POLYGON_API_KEY": KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=HERE.parent,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = next(word for word in line.split() if word.startswith("http")).split("/vX")[0]
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def age(self) -> float:
        """Seconds since the command was given."""
        return time.monotonic() - self.began

    def get(self, **terms: Any) -> dict[str, Any]:
        """Return the answer to a query, asked again where it is not ready."""
        while True:
            answer = requests.get(self.url + PATH, terms, headers=BEARER, timeout=60)
            if answer.status_code != 503:
                answer.raise_for_status()
                content: dict[str, Any] = answer.json()
                return content
            time.sleep(0.2)

    def wait_for(self, name: str) -> float:
        """Wait until all tickers are `ready` or `full`; return the server's age then."""
        while True:
            health = requests.get(f"{self.url}/health", timeout=60).json()
            if health["tickers"] and health[f"tickers_{name}"] == health["tickers"]:
                return self.age
            time.sleep(0.1)

    def memory(self) -> int:
        """Return the proportional set size of all processes, in bytes."""
        return sum(self.parts())

    def parts(self) -> list[int]:
        """Return the proportional set size of each process in bytes, the answering one first."""
        parts = []
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parts += [int(x.split()[1]) * 1024 for x in text.splitlines() if x.startswith("Pss:")]
        return parts

    def pids(self) -> list[int]:
        """Return all processes, the answering one first."""
        pids = [self.process.pid]
        for pid in pids:  # grows meanwhile
            with suppress(FileNotFoundError, ProcessLookupError):
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    pids += map(int, children.read_text().split())
        return pids

    def cpu(self) -> float:
        """Return the processor seconds of the answering process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.peak = max(self.peak, self.memory())

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()
        self.process.terminate()
        self.process.wait(timeout=30)


@contextmanager
def serving(lake: Path) -> Iterator[Server]:
    """Serve a lake until the block ends."""
    server = Server(lake)
    try:
        yield server
    finally:
        server.stop()


def pages(server: Server, most: int) -> list[float]:
    """Return the seconds of each page of the whole market at 100 a page."""
    pages_listed = []
    session = requests.Session()
    url: str | None = f"{server.url}{PATH}?limit=100"
    while url and len(pages_listed) < most:
        began = time.monotonic()
        while (answer := session.get(url, headers=BEARER, timeout=60)).status_code == 503:
            time.sleep(0.2)
        answer.raise_for_status()
        url = answer.json().get("next_url")
        pages_listed.append(time.monotonic() - began)
    return pages_listed


def filled(root: Path, companies: int) -> list[str]:
    """Fill a lake from the sandbox where there is none; return its tickers."""
    lake = Lake(root)
    if not (root / "tickers.txt").exists():
        from sandbox import Sandbox
        from tests.filled import fill

        lake.prepare()
        with Sandbox(
            companies=companies,
            start=date(2009, 1, 1),
            today=date(2026, 7, 1),
            api_key="sandbox-key",
        ) as sandbox:
            fill(lake, sandbox, sandbox.tickers)
            (root / "tickers.txt").write_text("\n".join(sandbox.tickers))
    return (root / "tickers.txt").read_text().split()


def measure_first(root: Path, tickers: list[str], note: Note, until: str) -> None:
    """Measure a start without shelves, until the market is listed (`ready`) or stored (`full`)."""
    shutil.rmtree(root / "ops" / "cache" / "serve_v1", ignore_errors=True)
    with serving(root) as server:
        note("first start: the port answers after", f"{server.age:.1f} s")
        server.get(ticker=tickers[-1], timeframe="quarterly", limit=100)
        note("first start: one ticker's quarters after", f"{server.age:.1f} s")
        server.get(ticker=tickers[0], timeframe="quarterly", limit=100)
        note("first start: another ticker's after", f"{server.age:.1f} s")
        note("first start: the whole market is listed after", f"{server.wait_for('ready'):.0f} s")
        some = pages(server, 20)
        note("a page of the market before its texts are stored, median", f"{median(some):.2f} s")
        if until == "full":
            note("first start: all texts are stored after", f"{server.wait_for('full'):.0f} s")
        note("memory at most meanwhile, all processes (PSS)", f"{server.peak / 1e6:.0f} MB")


def note_load(generator: Generator, server: Server, tickers: list[str], note: Note) -> None:
    """Measure eight clients that ask for one ticker's quarters and never rest."""
    began = server.cpu()
    load = generator(server.url, KEY, tickers)
    if load is None:
        return
    spent = server.cpu() - began
    by = load.generator
    note(f"one ticker's quarters, {USERS} clients ({by})", f"{load.rate:.0f} requests a second")
    note(f"the same, median and 95th percentile ({by})", f"{load.median:.1f} and {load.p95:.1f} ms")
    note(f"the same, failed ({by})", f"{load.failed} of {load.requests:,}")
    note(
        f"the same, processor time a request: the server's, {by}'s",
        f"{1_000 * spent / load.requests:.2f} and {1_000 * load.cpu / load.requests:.2f} ms",
    )


def measure_later(root: Path, tickers: list[str], note: Note, most: int) -> None:
    """Measure a start with all shelves, then readers of tickers and of the whole market."""
    with serving(root) as server:
        note("later start: the port answers after", f"{server.age:.1f} s")
        server.get(ticker=tickers[-1], timeframe="quarterly", limit=100)
        note("later start: one ticker's quarters after", f"{server.age:.1f} s")
        note("later start: everything is ready after", f"{server.wait_for('full'):.1f} s")
        for generator in GENERATORS:
            note_load(generator, server, tickers, note)
        times = pages(server, most)
        part = len(times) // 4 or 1
        note(
            f"the market at 100 a page, {len(times)} pages",
            f"{sum(times):.1f} s",
        )
        quarters = " ".join(
            f"{1_000 * sum(times[i * part : (i + 1) * part]) / part:.1f}" for i in range(4)
        )
        note("the same, ms a page, by quarter of the way", quarters)
        parts = ", ".join(f"{part / 1e6:.0f}" for part in server.parts())
        note("memory at the end (PSS), each process", f"{parts} MB")
        note("memory at most, all processes (PSS)", f"{server.peak / 1e6:.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--companies", type=int, default=300)
    parser.add_argument("--work", type=Path, required=True, help="where the lake is, or is made")
    parser.add_argument("--pages", type=int, default=10_000, help="of the market, at most")
    parser.add_argument(
        "--starts",
        choices=["both", "first", "later"],
        default="both",
        help="`first` ends once the market is listed, `later` needs what `both` left",
    )
    given = parser.parse_args()
    root = given.work / f"lake-{given.companies}"
    os.environ.setdefault("POLYGON_API_KEY", "sandbox-key")
    tickers = filled(root, given.companies)

    def note(what: str, figure: str) -> None:
        print(f"| {what} | {figure} |", flush=True)

    print(f"| `serve-v1`, {given.companies} companies | |\n| --- | ---: |", flush=True)
    if given.starts != "later":
        until = "ready" if given.starts == "first" else "full"
        measure_first(root, tickers, note, until)
    if given.starts != "first":
        measure_later(root, tickers, note, given.pages)


if __name__ == "__main__":
    main()
