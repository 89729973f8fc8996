"""The sandbox in a process of its own, as all tools of a benchmark see it.

    python -m benchmarks.server COMPANIES SEED LATENCY START TODAY QUIRKS TICKERS_FILE RENDER

Prints its address; then answers every line on standard input with the number of requests served
since the last one, and ends with its input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

KEY = "benchmark-key"
SEED = 7


@dataclass(frozen=True)
class Served:
    """A running server: its address, the file with its tickers, its two pipes."""

    url: str
    tickers: Path
    ask: IO[str]
    told: IO[str]

    def requests(self) -> int:
        """Return how many requests were served since this was last asked."""
        self.ask.write("count\n")
        self.ask.flush()
        return int(self.told.readline())


@contextmanager
def served(
    folder: Path,
    companies: int,
    today: date,
    *,
    latency: float = 0.05,
    start: date = date(2010, 1, 1),
    quirks: bool = True,
    render: bool = True,
) -> Iterator[Served]:
    """Serve synthetic companies; everything rendered beforehand, unless `render` is off."""
    tickers = folder / f"tickers-{companies}.txt"
    words = [companies, SEED, latency, start, today, int(quirks), tickers, int(render)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", *map(str, words)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise SystemExit("the sandbox did not start: see above")
        try:
            yield Served(url, tickers, process.stdin, process.stdout)
        finally:
            process.kill()


def main(
    companies: str,
    seed: str,
    latency: str,
    start: str,
    today: str,
    quirks: str,
    tickers: str,
    render: str,
) -> None:
    """Serve until the input ends."""
    from sandbox import Sandbox

    with Sandbox(
        companies=int(companies),
        seed=int(seed),
        latency=float(latency),
        start=date.fromisoformat(start),
        today=date.fromisoformat(today),
        api_key=KEY,
        quirks=quirks == "1",
    ) as sandbox:
        sandbox.warm(render == "1")
        Path(tickers).write_text("\n".join(sandbox.tickers) + "\n")
        print(sandbox.url, flush=True)
        for _ in sys.stdin:
            count = sandbox.request_count
            sandbox.forget_requests()
            print(count, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
