"""Parity and silver in one process and in two, in turn, each on a lake without their caches."""

from __future__ import annotations

import shutil

from benchmarks import tools
from benchmarks.kinds import TODAY, Bench, loaded, twin

RUNNERS = {"1 process": "threads", "2 processes": "processes"}


def spread(bench: Bench, companies: int) -> None:
    """Measure a first comparison and a first build of silver by each task runner."""
    cases = [
        (row, (*words, "--task-runner", runner))
        for run in range(1, bench.runs + 1)
        for words in (("parity", "--date", TODAY.isoformat()), ("silver",))
        for name, runner in RUNNERS.items()
        if (row := bench.row("spread", "both", f"{words[0]}, {name}", companies, run))
    ]
    if not cases:
        return
    with bench.server(companies, TODAY) as server:
        lake = loaded(bench, server, companies)
        for row, words in cases:
            folder = twin(lake, bench.work / "spread")
            where = ("--lake", str(folder), "--json")
            asked = ("--base-url", server.url) if words[0] == "parity" else ()
            two = {"POLYGON_PROCESSES": "2"}
            bench.run(row, tools.flows(*words, *where, *asked), server, None, (0, 1), two)
            shutil.rmtree(folder)
