"""The first load alone, without a second one: for many sizes of the market."""

from __future__ import annotations

import shutil

from benchmarks import tools
from benchmarks.kinds import TODAY, Bench, empty


def sizes(bench: Bench, companies: int) -> None:
    """Measure the first load of v2; the tools take turns. What they wrote is removed after all."""
    folders = bench.work / "sizes"
    with bench.server(companies, TODAY) as server:
        for run in range(1, bench.runs + 1):
            for tool in bench.chosen(tools.LOADERS):
                row = bench.row("sizes", "v2", tool.name, companies, run)
                if row is None or bench.lacking(row, tool):
                    continue
                folder = empty(folders / f"{tool.name}-{companies}-{run}")
                words = tools.history(tool, "v2", server, folder)
                bench.run(row, words, server, folder / tool.data)
    shutil.rmtree(folders, ignore_errors=True)
