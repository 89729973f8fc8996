"""The queries of docs/queries.md run on a small lake and return what their heading says."""

from __future__ import annotations

import re
from datetime import date

import pandas as pd
import pytest

from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.report import write_report
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from sandbox import Sandbox
from tests.conftest import KEY
from tests.contract.doc_pages import ROOT
from tests.filled import comparison, fill

PAGE = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
# Each query with the sentence before it.
QUERIES = re.findall(r"([^\n]+)\n\n```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TODAY = date(2025, 9, 1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A few companies of both generations, one of them in v1 alone; a parity report and silver."""
    made = Lake(tmp_path_factory.mktemp("queries") / "lake")
    made.prepare()
    with Sandbox(companies=4, seed=7, api_key=KEY, start=date(2024, 3, 1), today=TODAY) as server:
        gone, wrong = server.tickers[0], server.tickers[1]
        server.plant("missing_ticker", ticker=gone)
        fill(made, server, server.tickers)
        balance, income = "balance_sheets", "income_statements"
        server.plant("wrong_value", ticker=wrong, statement=balance, field="total_assets")
        rows = pd.read_parquet(made.root / "bronze" / "fundamentals_v2" / income)
        quarters = rows[(rows["ticker"] == wrong) & (rows["timeframe"] == "quarterly")]
        first = str(quarters["period_end"].min())
        server.plant("restated", ticker=wrong, statement=income, period_end=first)
        fill(made, server, [wrong])
    question = Question(load_tolerances(TOLERANCES_FILE), (), {}, TODAY)
    answers = [comparison(made, statement, question) for statement in Statement]
    report = made.ops / "parity" / "reports" / "1"
    report.mkdir(parents=True)
    write_report(report, [answer.findings for answer in answers])
    silver.build(made)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("sentence", "query"), QUERIES, ids=[q[0][:40] for q in QUERIES])
def test_a_query_runs_on_a_lake(
    lake: Lake, sentence: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(lake.root)
    rows = duckdb.connect().execute(query).fetchall()
    assert bool(rows) is ("must return no row" not in sentence), (sentence, rows[:3])
