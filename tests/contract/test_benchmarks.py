"""The benchmark works: it measures, keeps what it measured, and makes a page of it.

No time is judged here.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from benchmarks import silver_history, tools
from benchmarks.kinds import TODAY, Bench
from benchmarks.market import Market, steps, table
from benchmarks.measure import measured
from benchmarks.report import curves, page
from benchmarks.results import Results, Row
from polygon_fundamentals.lake import Lake
from tests.cutover_world import fill

COMPANIES = 2
QUICK = frozenset(tools.LOADERS) - {"ours"}


def measure(work: Path, names: frozenset[str]) -> dict[str, Row]:
    """Return tool → its history of v2, each measured once."""
    bench = Bench(Results(work / "out"), work, names=names, latency=0.0, quirks=False)
    with bench.server(COMPANIES, TODAY) as server:
        for tool in bench.chosen(tools.LOADERS):
            row = bench.row("history", "v2", tool.name, COMPANIES, 1)
            assert row is not None
            if not bench.lacking(row, tool):
                folder = work / tool.name
                folder.mkdir()
                words = tools.history(tool, "v2", server, folder)
                bench.run(row, words, server, folder / tool.data)
                assert bench.row("history", "v2", tool.name, COMPANIES, 1) is None, "kept"
    return {row.tool: row for row in bench.results.rows()}


def check(row: Row, records: int) -> None:
    """Hold a row to be complete."""
    if row.missing:
        pytest.skip(row.missing)
    assert row.failed is None
    assert row.wall > 0
    assert row.cpu > 0
    assert row.peak > 0
    assert row.requests >= 2
    assert row.files >= 3
    assert row.bytes > 1000
    assert row.machine["cores"] >= 1
    assert row.setting["latency"] == 0.0
    assert row.records == records > 100


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """One history of v2 by each tool but the command."""
    return measure(tmp_path_factory.mktemp("bench"), QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_tool_is_measured_or_said_to_be_missing(rows: dict[str, Row], name: str) -> None:
    check(rows[name], rows["plain"].records)


@pytest.mark.slow
def test_the_command_is_measured(tmp_path: Path) -> None:
    rows = measure(tmp_path, frozenset({"ours", "plain"}))
    check(rows["ours"], rows["plain"].records)
    assert rows["ours"].inside is not None
    text = "\n".join(page([*rows.values()], curves([*rows.values()])))
    assert "| v2 | 2 | this project |" in text


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc here")
def test_memory_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    code = "b = b'x' * {size}; import time; time.sleep(0.5)"
    child = [sys.executable, "-c", code.format(size=100_000_000)]
    parent = f"{code.format(size=200_000_000)}; import subprocess; subprocess.run({child!r})"
    found = measured([sys.executable, "-c", parent], tmp_path, {}, tmp_path / "logs", 30.0)
    assert (found.exit_code, found.peak_is) == (0, "process tree")
    assert 300e6 < found.peak < 350e6


@pytest.mark.slow
def test_the_page_names_every_tool(rows: dict[str, Row]) -> None:
    ours = Row(**{**vars(rows["library"]), "tool": "ours", "wall": 2 * rows["library"].wall})
    found = [*rows.values(), ours, Row("history", "v2", "dlt", 9, 1, missing="no dlt here")]
    text = "\n".join(page(found, curves(found)))
    assert "| v2 | 2 | this project |" in text
    assert "| v2 | 2 | plain asyncio downloader |" in text
    assert "- dlt, history v2, 9 companies: no dlt here" in text
    share = text.split("## Prefect's share")[1]
    assert share.split("\n| v2 | 2 |")[1].splitlines()[0].endswith("| 50% |")


@pytest.mark.slow
def test_curves_need_two_sizes(rows: dict[str, Row]) -> None:
    more = [
        Row(**{**vars(row), "companies": companies})
        for row in rows.values()
        if row.good
        for companies in (2, 4)
    ]
    drawn = curves(more)
    assert [name for _, name, _ in drawn] == [
        "benchmarks-history-v2-time.svg",
        "benchmarks-history-v2-memory.svg",
    ]
    assert all(text.startswith("<svg") and text.count("<polyline") >= 2 for *_, text in drawn)


def test_a_result_that_failed_is_tried_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    row = Row("history", "v2", "ours", 2, 1)
    results.add(Row(**{**vars(row), "failed": "exit code 3"}))
    assert not results.has(row.key)
    results.add(row)
    assert results.has(row.key)
    assert len(results.rows()) == 1


@pytest.mark.slow
def test_silvers_history_is_measured_on_a_lake_that_stays_as_it_is(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(lake)
    silver_history.main([str(lake.root), "--rows", "500", "--generations", "v2"])
    printed = capsys.readouterr().out
    assert "build v2, ours, run 1: cpu " in printed
    assert "6 rows of the wide table, 6 of the history" in printed
    assert "join_as_of, pandas, 500 rows" in printed
    assert printed.count("one ticker, ") == 3
    assert not lake.silver.exists() or not list(lake.silver.iterdir())


@pytest.mark.slow
def test_a_market_goes_through_every_command_and_goes_on_where_it_was_cut_off(
    tmp_path: Path,
) -> None:
    market = Market(
        tmp_path / "out",
        tmp_path / "work",
        companies=3,
        start=date(2024, 1, 1),
        until=time.monotonic() + 8,
    )
    assert not market.run(), "eight seconds are not enough"
    assert any(line.get("cut") for line in market.lines())
    assert replace(market, until=time.monotonic() + 900).run()
    ended = [line for line in market.lines() if not line.get("cut")]
    assert [line["step"] for line in ended] == [name for name, *_ in steps("", "")]
    assert all(line["peak"] > 1e7 and line["lake_bytes"] > 1e5 for line in ended)
    assert len(list(table(market.lines()))) == len(ended) + 2
    size = market.file.stat().st_size
    assert replace(market, until=time.monotonic() + 900).run()
    assert market.file.stat().st_size == size, "what is there is not made again"
