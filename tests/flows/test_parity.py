"""`parity` as a user runs it: exit code, JSON, report, ledger, data docs."""

from __future__ import annotations

import asyncio
import csv
import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client

from flows.commands.report_lines import parity_lines
from flows.parity import parity
from polygon_fundamentals import ledger
from polygon_fundamentals.field_map import v2_fields
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.catalogue import companies_of
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call
from tests.builders.deployments import deployed
from tests.builders.status_lakes import v2_alone
from tests.conftest import KEY
from tests.filled import change_rows, fill, set_column

CF = Statement.CASH_FLOW
PROMISED = {
    "passed",
    "compared",
    "matched",
    "differences",
    "missing_tickers",
    "missing_periods",
    "extra_periods",
    "report",
    "data_docs",
}


def drop_quarter(table: pa.Table) -> pa.Table:
    gone = pc.and_(
        pc.equal(table["period_end"], pa.scalar(date(2024, 6, 30))),
        pc.equal(table["timeframe"], "quarterly"),
    )
    return table.filter(pc.invert(gone))


@pytest.mark.slow
def test_parity_from_end_to_end(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(companies=4, seed=3, api_key=KEY, quirks=False, start=date(2023, 1, 1)) as server:
        fill(lake, server, server.tickers)
        a, b, c, d = sorted(server.tickers)
        where = ["--lake", str(lake.root), "--base-url", server.url]

        code, told = call("parity", *where)
        assert code == 0
        assert told.keys() >= PROMISED
        assert (told["passed"], told["missing_tickers"], told["missing_periods"]) == (True, [], [])
        values = [
            sum(v is not None for v in row)
            for row in zip(*_compared_columns(lake, CF), strict=True)
        ]
        assert told["compared"] > sum(values) > 0
        assert set(told["differences"]) <= {"line_definition"}
        assert told["tickers_compared"] == told["tickers_total"] == 4

        # One of each: a lost ticker, a lost period, a wrong value, a lost value.
        change_rows(lake, Generation.V2, CF, drop_quarter, a)
        for statement in Statement:
            change_rows(lake, Generation.V2, statement, lambda t: t.slice(0, 0), b)
        field = "net_cash_from_investing_activities_continuing_operations"
        wrong = set_column(field, lambda t: [v and -v for v in t[field].to_pylist()])
        change_rows(lake, Generation.V2, CF, wrong, c, first_only=True)
        lost = "net_cash_from_operating_activities"
        gone = set_column(lost, lambda t: [None] * len(t))
        change_rows(lake, Generation.V2, CF, gone, d, first_only=True)
        server.forget_requests()
        code, told = call("parity", *where)
        assert code == 1
        assert told["missing_tickers"] == [b]
        assert told["missing_periods"] == [
            {
                "statement": "cash_flow",
                "ticker": a,
                "timeframe": "quarterly",
                "period_end": "2024-06-30",
            }
        ]
        shown = list(parity_lines(told))
        signs = told["differences"].pop("sign")
        assert signs >= 1
        assert told["differences"].pop("lost_in_v2") == len(told["missing_values"]) >= 1
        assert set(told["differences"]) <= {"line_definition"}
        assert f"  missing in v2, all periods: {b}" in shown
        assert f"  missing in v2: {a} cash_flow quarterly 2024-06-30" in shown
        [value] = [line for line in shown if line.startswith("  lost in v2: ")][:1]
        assert re.match(
            rf"  lost in v2: {d} cash_flow \w+ \d{{4}}-\d\d-\d\d {lost} \(v1 has -?[\d,]+", value
        )
        [periods] = [r["count"] for r in told["rules_broken"] if "period" in r["rule"]]
        assert periods == 1
        assert {r["rule"] for r in told["rules_broken"]} == {
            "Every v1 ticker is in v2 or accounted for",
            "Every v1 period is in v2",
            "A finding stays within its budget",
        }
        [cik] = companies_of(lake, Generation.V1)[b]
        first, *asked = [(r.query.get("ticker"), r.query.get("cik")) for r in server.requests]
        assert first == (None, None)  # whether any stock is active
        assert asked == sorted(
            [(b, None), (None, cik)], key=lambda name: name[0] or f"CIK{name[1]}"
        )

    found = pq.read_table(told["report"]).to_pylist()
    flipped = [row for row in found if row["kind"] == "sign"]
    assert {(row["ticker"], row["v2_field"]) for row in flipped} == {(c, field)}
    assert all(row["v1_value"] == -row["v2_value"] for row in flipped)
    with Path(told["report_csv"]).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(found)
    days = [row[name] for row in rows for name in ("period_end", "v1_filing_date") if row[name]]
    assert [day for day in days if not re.fullmatch(r"\d{4}-\d\d-\d\d", day)] == []
    assert "✗ broken" in Path(told["data_docs"]).read_text()
    assert f'"{c}"' in Path(told["data_docs_run"]).read_text()

    entries = [r.content for r in ledger.read_entries(lake)[0] if r.content["flow"] == "parity"]
    assert [e["passed"] for e in entries] == [True, False]
    assert entries[1].keys() >= {
        "compared", "matched", "differences", "tickers_compared", "tickers_total", "sample",
        "v1_last_filing",
    }  # fmt: skip
    assert entries[1]["outcome"] == "failed"

    # What a killed run left goes with the next run, and that one leaves nothing.
    works = lake.ops / "cache" / "parity-work"
    (works / "killed" / "cash_flow").mkdir(parents=True)
    # The server is gone and the key too: what was asked before stands.
    monkeypatch.delenv("POLYGON_API_KEY")
    gone = ["--lake", str(lake.root), "--base-url", "http://127.0.0.1:9"]
    _, other = call("parity", *gone, "--tickers", d)
    assert (other["tickers_compared"], other["passed"]) == (1, False)
    assert "lost_in_v2" in other["differences"]
    assert list(works.iterdir()) == []
    [page] = re.findall(r"`(/.+)`", _pages(lake)[-1])
    assert Path(page).is_file()
    assert "file:" not in _pages(lake)[-1]


@pytest.mark.slow
def test_the_list_of_tickers_is_asked_about_what_the_comparison_finds_missing(lake: Lake) -> None:
    with Sandbox(companies=2, seed=3, api_key=KEY, quirks=False, start=date(2025, 1, 1)) as server:
        fill(lake, server, server.tickers)
        ticker = min(server.tickers)
        for statement in Statement:
            for name in v2_fields(statement):
                nothing = set_column(name, lambda t: [None] * len(t))
                change_rows(lake, Generation.V2, statement, nothing, ticker)
        server.forget_requests()
        code, answer = call("parity", "--lake", str(lake.root), "--base-url", server.url)
        asked = [(r.query.get("ticker"), r.query.get("cik")) for r in server.requests]
    [cik] = companies_of(lake, Generation.V1)[ticker]
    assert set(asked) == {(None, None), (ticker, None), (None, cik)}
    assert (code, answer["missing_tickers"]) == (1, [ticker])


def _compared_columns(lake: Lake, statement: Statement) -> list[list[float | None]]:
    """One column that both generations have everywhere, for a lower bound on what is compared."""
    dataset = lake.dataset(Generation.V2, statement)
    names = ["net_cash_from_operating_activities", "change_in_cash_and_equivalents"]
    rows = pa.concat_tables(
        pq.ParquetFile(dataset.file(p, t)).read(names) for p, t, _ in dataset.files()
    )
    return [rows[name].to_pylist() for name in names]


def _pages(lake: Lake) -> list[str]:
    async def ask() -> list[str]:
        async with get_client() as client:
            artifacts = await client.read_artifacts()
            pages = [str(a.data) for a in artifacts if a.key == "parity-data-docs"]
            # Other tests have left theirs on the same server.
            return [page for page in pages if str(lake.root) in page]

    return asyncio.run(ask())


def test_nothing_to_compare_is_told(lake: Lake) -> None:
    code, told = call("parity", "--lake", str(lake.root))
    assert code == 2
    assert "no records of v1 to compare; store recordings" in told["error"]


@pytest.mark.slow
def test_a_deployment_skips_a_lake_with_v2_alone(lake: Lake) -> None:
    v2_alone(lake)
    for path in (lake.ops / "runs").glob("*-parity-*"):
        path.unlink()
    state = deployed(parity, lake)
    words = "nothing to compare: the lake has no records of v1"
    assert (state.type, state.name, state.message) == ("COMPLETED", "Skipped", words)
    (entry,) = (e for e in ledger.read_entries(lake)[0] if e.flow == "parity")
    assert (entry.outcome, entry.message, entry.nothing_to_compare) == ("succeeded", words, True)
    code, checklist = call("checklist", "--lake", str(lake.root))
    (item,) = (item for item in checklist["steps"] if item["name"] == "parity")
    assert (item["ok"], item["detail"]) == (None, words)
    assert code == 1
    assert "parity" in checklist["message"].removeprefix("unmet: ").split(", ")
    code, answer = call("parity", "--lake", str(lake.root))
    assert code == 2
    assert "no records of v1 to compare; store recordings" in answer["error"]
