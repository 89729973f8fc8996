"""What a command costs beyond its work: `--help`, and one ticker with and without a server."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from benchmarks import tools
from benchmarks.kinds import TODAY, Bench, empty
from benchmarks.server import Served
from flows.runtime import serving
from polygon_fundamentals.server import LIMIT_NAME


def startup(bench: Bench, companies: int) -> None:
    """Measure bare Python, `--help`, and an ad hoc load by library, command, and with a server."""
    home = bench.work / "prefect-server"
    home.mkdir(parents=True, exist_ok=True)
    with (
        bench.server(companies, TODAY) as server,
        serving.server(
            serving.free_port(), bench.work / "server.log", tools.environment(home)
        ) as prefect,
    ):
        _allow(prefect.api)
        ticker = server.tickers.read_text().split()[0]
        one = bench.work / "one-ticker.txt"
        one.write_text(ticker + "\n")
        just_one = Served(server.url, one, server.ask, server.told)
        lake = bench.work / "startup"
        library = tools.LOADERS["library"]
        ad_hoc = tools.flows(
            *("fundamentals", ticker, "--use-v2", "--filing-date-gte", "2010-01-01"),
            *("--base-url", server.url, "--lake", str(lake), "--json"),
        )
        first = {"PREFECT_HOME": str(bench.work / "prefect-new")}
        cases: tuple[tuple[str, list[str], dict[str, str]], ...] = (
            ("python", [sys.executable, "-c", "pass"], {}),
            ("help", tools.flows("--help"), {}),
            ("help of a command", tools.flows("historical-load", "--help"), {}),
            ("library, one ticker", tools.history(library, "v2", just_one, lake), {}),
            ("command, one ticker, first on a machine", ad_hoc, first),
            ("command, one ticker", ad_hoc, {}),
            ("command, one ticker, server running", ad_hoc, {"PREFECT_API_URL": prefect.api}),
        )
        for run in range(1, bench.runs + 1):
            for name, words, more in cases:
                row = bench.row("startup", "v2", name, companies, run)
                if row is not None:
                    empty(lake)
                    if more is first:
                        empty(Path(first["PREFECT_HOME"]))
                    bench.run(row, words, server, lake / "bronze", environment=more)
        shutil.rmtree(lake, ignore_errors=True)


def _allow(api: str) -> None:
    """Create the limit without which a run on a server stops: far above what is needed here."""
    body = {"name": LIMIT_NAME, "limit": 6000, "slot_decay_per_second": 100.0, "active": True}
    asked = Request(
        f"{api}/v2/concurrency_limits/",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        urlopen(asked, timeout=30).close()
    except HTTPError as error:
        if error.code != 409:  # 409: it is there from an earlier run
            raise
