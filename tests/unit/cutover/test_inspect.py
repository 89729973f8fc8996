"""`inspect` on a lake that quantmini wrote: what it holds, what will happen, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.__main__ import main
from polygon_fundamentals.cutover import advice, checksums
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.query import BATCH
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders import quantmini
from tests.builders.commands import call, call_with_errors
from tests.builders.ledger import entry
from tests.builders.templates import copied
from tests.conftest import KEY
from tests.lakes import fingerprint


@pytest.fixture(scope="module")
def market() -> Iterator[Sandbox]:
    """A year of six companies, two of them in one row."""
    with Sandbox(companies=6, seed=5, start=date(2025, 7, 1), api_key=KEY) as server:
        yield server


@pytest.fixture
def lake(market: Sandbox, tmp_path: Path) -> Lake:
    """A lake of quantmini, without our folders."""
    return copied(Lake(tmp_path / "lake"), write, market)


def write(lake: Lake, market: Sandbox) -> None:
    quantmini.write_lake(lake.root, market)


def test_it_says_what_is_there_and_writes_nothing(
    lake: Lake, market: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLYGON_API_KEY")
    before = fingerprint(lake.root, "**/*")
    code, answer = call("inspect", "--lake", str(lake.root))
    assert fingerprint(lake.root, "**/*") == before
    inspected, rows = answer["found"], quantmini.served(market)
    symbols = {row["tickers"][0] for row in rows}
    again = sorted(symbols)[: quantmini.LOADED_TWICE]
    assert inspected["tools"] == {"quantmini": len(before) - 3 - inspected["silver"]["files"]}
    assert inspected["tickers"] == len(symbols)
    assert inspected["named_only"] == sorted({n for row in rows for n in row["tickers"]} - symbols)
    assert inspected["companions"] == sorted(quantmini.COMPANIONS)
    keys = {(r["tickers"][0], r["cik"], r["timeframe"], r["end_date"]) for r in rows}
    for statement in inspected["statements"]:
        assert statement["records"] == len(keys)
        differing = sum(statement["doubles_differing"].values())
        assert statement["doubles_alike"] == sum(r["tickers"][0] in again for r in rows)
        assert differing == len(rows) - len(keys)
        assert statement["unreadable"] == []
    assert inspected["silver"]["state"] == "another's"
    assert "year=…/quarter=…/data.parquet" in inspected["silver"]["pattern"]
    assert code == 1
    assert answer["obstacles"] == [
        f"{lake.silver / 'fundamentals_wide'} is another tool's folder: `silver --adopt-path` "
        "moves it aside, and `silver --give-path-back` puts it back"
    ]
    assert any("--adopt-path" in step for step in answer["steps"])


def test_what_stands_in_the_way_is_named(lake: Lake) -> None:
    broken = next((lake.pointer / "cash_flow").rglob("*.parquet"))
    broken.write_bytes(b"half a file")
    (lake.bronze / "fundamentals_v2" / "short_volume").mkdir(parents=True)
    code, answer = call("inspect", "--lake", str(lake.root))
    assert code == 1
    words = " ".join(answer["obstacles"])
    assert f"1 files of cash_flow cannot be read, such as {broken}" in words
    assert "short_volume: in v1's folder and in bronze/fundamentals_v2" in words
    # The file was written just now.
    young = [w for w in answer["found"]["writers"] if "cash_flow" in w["pattern"]]
    assert [w["files"] for w in young] == [1]


def test_a_lake_without_v1_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "empty" / "bronze").mkdir(parents=True)
    code, answer = call("inspect", "--lake", str(tmp_path / "empty"))
    assert (code, len(answer["obstacles"])) == (1, 1)
    assert "is this the lake?" in answer["obstacles"][0]
    code, answer, _ = call_with_errors("inspect", "--lake", str(tmp_path / "none"))
    assert (code, "there is no lake" in answer["error"]) == (2, True)


def test_other_tools_are_told_apart_and_a_lake_in_order_passes(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    row = {"cik": "0009000001", "end_date": "2025-03-31", "timeframe": "annual", "tickers": ["A"]}
    tables = {
        "A": pa.Table.from_pylist([row]),
        "B": pa.table(pa.Table.from_pylist([row]).to_pandas()),
        "C": pa.Table.from_pylist([{**row, "_sdc_sequence": 1}]),
    }
    for name, table in tables.items():
        path = lake.pointer / f"cash_flow/year=2025/month=05/ticker={name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    code, answer = call("inspect", "--lake", str(lake.root))
    assert answer["found"]["tools"] == {"another tool": 1, "pandas": 1, "a Singer tap": 1}
    assert (code, answer["obstacles"]) == (0, [])


@pytest.mark.parametrize("order", [("inner", "outer"), ("outer", "inner"), ("end", "end")])
def test_columns_are_found_wherever_nested_ones_stand(
    order: tuple[str, str], tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    nested = {"financials": {"balance_sheet": {"assets": {"value": 1.0}}}, "more": {"a": 1, "b": 2}}
    label = {"cik": "0009000001", "end_date": "2025-03-31", "tickers": ["A", "B"]}
    last = {"timeframe": "annual", "fiscal_year": "2025", "fiscal_period": "FY"}
    row = {
        "inner": {**label, **nested, **last},
        "outer": {"financials": nested["financials"], **label, **last, "more": nested["more"]},
        "end": {**label, **last, **nested, "list": [{"x": 1}]},
    }[order[0]]
    twice = {**row, "timeframe": "quarterly"} if order[1] == "outer" else row
    path = lake.pointer / "balance_sheets/year=2025/month=05/ticker=A.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row, twice, twice]), path)
    _, answer = call("inspect", "--lake", str(lake.root))
    [sheets] = [s for s in answer["found"]["statements"] if s["files"]]
    assert answer["found"]["named_only"] == ["B"]
    assert sheets["unreadable"] == []
    assert (sheets["records"], sheets["doubles_alike"]) == ((2, 1) if twice != row else (1, 2))


@pytest.mark.parametrize(
    ("tickers", "requests"),
    # The last was measured on a market of 6,000 (docs/large-lakes.md), the others on the sandbox.
    [(1, 4), (30, 7), (1_000, 28), (6_000, 152)],
)
def test_the_requests_are_those_of_a_load_of_v2(tickers: int, requests: int) -> None:
    """They were counted with v1's, fifteen times as many as the step beside them takes."""
    assert advice._v2_requests(tickers) == requests
    assert advice.TICKERS_A_REQUEST == BATCH


def entry_of_both(lake: Lake, **changes: object) -> None:
    good = {"units": 3, "rows_received": 3, "rows_new": 3}
    gone = {"units": 3, "frozen_since": "2026-10-09", "failed": []}
    generations = {"v1": {**good, **gone}, "v2": good}
    parameters = {"generation": "both", "tickers": [], "universe": None}
    content: dict[str, Any] = {
        "flow": "historical-load",
        "started": "2026-11-20T10:00:00+00:00",
        "ended": "2026-11-20T10:01:00+00:00",
        "outcome": "succeeded",
        "generations": generations,
        "parameters": parameters,
    }
    entry(lake, "load", **{**content, **changes})


def commands(answer: dict[str, Any]) -> list[str]:
    """Return the steps without the option that names the lake, and without comments."""
    return [
        step.partition("  #")[0].partition(" --lake")[0].removeprefix("polygon-fundamentals ")
        for step in answer["steps"]
    ]


def test_the_steps_are_those_of_the_page(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the generation in each command, the weekly refresh, the checksums and the sign-offs."""
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "5")
    entry_of_both(lake)
    _, answer = call("inspect", "--lake", str(lake.root))
    assert answer["v1"]["state"] == "frozen"
    page = (Path(__file__).parents[3] / "docs" / "migration.md").read_text(encoding="utf-8")
    block = page.partition("## v1 is gone")[2].partition("    export QUANTLAKE_ROOT")[2]
    lines = block.partition("\n\n")[0].splitlines()[1:]
    named = [line.partition("#")[0].replace("polygon-fundamentals", "").strip() for line in lines]
    steps = [step.replace(" --adopt-path", "") for step in commands(answer)]
    assert [step for step in steps if step in named] == named
    tail = ["sign-off ITEM --by NAME", "checklist", "cutover --execute", "cleanup --execute"]
    assert steps[-4:] == tail
    assert any("deployments/contacts.toml" in step for step in steps)
    # v2 alone is asked: as many requests as the first step takes.
    tickers = answer["found"]["tickers"]
    assert (answer["needs"]["requests"], answer["needs"]["v1_requests"]) == (7, 0)
    assert answer["needs"]["seconds"] == max(60 * 7 / 5, tickers * 0.2)


def test_a_lake_that_was_handed_over_says_what_v1_would_take(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in it says whether v1 answers; after its announced end, v2 alone is advised."""
    main(["inspect", "--lake", str(lake.root)])
    out = capsys.readouterr().out
    assert "  v2: not loaded\n" in out
    assert "no load says whether it still answers; it was to end on 2026-10-09" in out
    assert "7 requests of v2 (and " in out
    assert "of v1, if v1 still answers)" in out
    first = next(line for line in out.splitlines() if "historical-load --generation v2" in line)
    assert ". ok " not in first
    assert first.endswith("# --generation both, if v1 still answers")


def test_what_is_done_is_marked(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """After load, silver and drill it still began with the load, and had no line for v2."""
    entry_of_both(lake)
    for statement in Statement:
        file = lake.dataset(Generation.V2, statement).file(202505, "AAA")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"of v2")
    checksums.record(lake)
    _, answer = call("inspect", "--lake", str(lake.root))
    done = dict(zip(commands(answer), answer["steps_done"], strict=True))
    assert done["historical-load --generation v2"] is True
    assert done["checklist --record-checksums"] is True
    assert done["daily-update --generation v2"] is done["drill"] is done["checklist"] is False
    assert done["refresh"] is None
    assert answer["needs"]["requests"] == 0
    assert answer["v2"] == {"files": 3, "bytes": 15, "tickers": 1}
    main(["inspect", "--lake", str(lake.root)])
    out = capsys.readouterr().out
    first = next(line for line in out.splitlines() if "historical-load --generation v2" in line)
    assert ". ok " in first
    assert "free; the load is done" in out
    assert "  v2: 3 files, 0.0 MB, 1 tickers" in out


def test_while_v1_answers_both_are_loaded_and_no_checksums_are_recorded(lake: Lake) -> None:
    good = {"units": 3, "rows_received": 3}
    today = datetime.now(UTC).isoformat()
    entry_of_both(lake, generations={"v1": good, "v2": good}, started=today, ended=today)
    _, answer = call("inspect", "--lake", str(lake.root))
    steps = commands(answer)
    assert "historical-load --generation both" in steps
    assert "daily-update --generation both" in steps
    assert "checklist --record-checksums" not in steps
    assert answer["needs"]["v1_requests"] == 2 * answer["found"]["tickers"]


def test_a_lake_of_v2_alone_is_not_asked_for_v1(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for statement in Statement:
        file = lake.dataset(Generation.V2, statement).file(202505, "AAA")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"of v2")
    code, answer = call("inspect", "--lake", str(lake.root))
    assert (code, answer["obstacles"]) == (0, [])
    steps = commands(answer)
    assert not {"parity", "cleanup --execute", "checklist --record-checksums"} & set(steps)
    assert steps[-1] == "cutover --execute --force REASON"
