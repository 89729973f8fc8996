"""`parity --witness edgar` as a user runs it, against the sandbox's EDGAR."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.__main__ import main
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.witness_run import NO_FILING, WitnessReport
from polygon_fundamentals.reference.edgar_cache import EdgarReport
from sandbox import Sandbox
from sandbox.edgar import is_edgars
from tasks.witness import NO_IDENTITY, _sentence
from tests.conftest import KEY
from tests.filled import fill

IDENTITY = "Jane Doe jane@example.com"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["parity", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows of revenue that the report lists, by ticker."""
    table = pq.read_table(report["report"]).to_pylist()
    return {r["ticker"]: r for r in table if r["v2_field"] == "revenue"}


def test_the_note_on_edgar_says_what_changed_and_nothing_where_nothing_was_asked() -> None:
    unasked = EdgarReport(companies=1, note=NO_IDENTITY)
    assert _sentence(unasked, WitnessReport(companies=1, companies_without_facts=1)) == ""
    settled = WitnessReport(companies=2, settled=Counter({"restated > restated_proven": 1}))
    assert _sentence(EdgarReport(companies=2, requests=3), settled) == (
        "SEC EDGAR has facts of 2 of 2 companies with open differences (3 requests): "
        "1 finding changed from restated to restated_proven."
    )


@pytest.mark.slow
def test_what_the_filings_prove_stands_in_the_report(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(companies=4, seed=3, api_key=KEY, quirks=False, start=date(2023, 1, 1)) as server:
        a, b, c, d = sorted(server.tickers)
        monkeypatch.setenv("POLYGON_API_KEY", KEY)
        monkeypatch.setenv("EDGAR_DATA_URL", server.url)
        monkeypatch.setenv("EDGAR_BASE_URL", server.url)
        monkeypatch.delenv("EDGAR_IDENTITY", raising=False)
        where = ["--lake", str(lake.root), "--base-url", server.url]
        server.plant("restated", ticker=a)
        server.plant("wrong_value", ticker=b)
        server.plant("wrong_value", ticker=c, generation="v1")
        fill(lake, server, server.tickers)

        code, report = run(capsys, *where)
        assert code == 1
        before = {t: r["kind"] for t, r in rows(report).items()}
        assert before == {a: "restated", b: "restated", c: "v1_breaks_identity"}
        assert "witness" not in report
        assert not any(is_edgars(request.path) for request in server.requests)

        # Without an identity nothing is sent, the answer is the same, and it says so.
        code, report = run(capsys, *where, "--witness", "edgar")
        assert {t: r["kind"] for t, r in rows(report).items()} == before
        assert any("SEC EDGAR was not asked: set EDGAR_IDENTITY" in n for n in report["notes"])
        assert not any(is_edgars(request.path) for request in server.requests)

        monkeypatch.setenv("EDGAR_IDENTITY", IDENTITY)
        code, report = run(capsys, *where, "--witness", "edgar")
        assert code == 1
        found = rows(report)
        assert {t: r["kind"] for t, r in found.items()} == {
            a: "restated_proven", b: "v2_wrong", c: "v1_wrong",
        }  # fmt: skip
        assert report["differences"] == report["differences"] | {
            "restated_proven": 1, "v2_wrong": 1, "v1_wrong": 1,
        }  # fmt: skip
        broken = {broken["detail"] or broken["rule"] for broken in report["rules_broken"]}
        assert not any("restated_proven" in text for text in broken)
        proven = found[a]
        assert proven["edgar_concept"] == "us-gaap:Revenues"
        assert (proven["edgar_v1_form"], proven["edgar_v2_form"]) == ("10-Q", "8-K")
        assert proven["edgar_v2_filed"] == server.today
        accession = proven["edgar_v2_accession"]
        assert accession in proven["detail"]
        # The sandbox's companies are invented, and lead to no filing.
        assert proven["edgar_v2_link"] is None
        (example,) = [note for note in report["notes"] if note.startswith("proven: ")]
        assert accession in example
        assert example.endswith(NO_FILING)
        assert accession in Path(report["data_docs_run"]).read_text()
        asked = {r.path for r in server.requests if is_edgars(r.path)}
        assert len(asked) == 6  # d has no difference
        assert report["witness"]["requests"] == 6
        assert all(r.headers["user-agent"] == IDENTITY for r in server.requests if r.path in asked)
        everything = json.dumps(report) + Path(report["data_docs_run"]).read_text()
        assert "jane@" not in everything

        # The next run asks nobody, and says the same.
        server.forget_requests()
        code, report = run(capsys, *where, "--witness", "edgar")
        assert report["witness"]["requests"] == 0
        assert {t: r["kind"] for t, r in rows(report).items()} == {
            t: r["kind"] for t, r in found.items()
        }
        assert not any(is_edgars(request.path) for request in server.requests)
        # Nor does a nightly run without the option, which would otherwise hide what is proven.
        proven_kinds = {t: r["kind"] for t, r in rows(report).items()}
        code, report = run(capsys, *where)
        assert code == 1
        assert {t: r["kind"] for t, r in rows(report).items()} == proven_kinds
        assert any("the earlier answers of SEC EDGAR were used" in n for n in report["notes"])
        assert not any(is_edgars(request.path) for request in server.requests)
        assert d not in before


@pytest.mark.slow
def test_an_edgar_that_refuses_leaves_the_answer_what_it_was(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(companies=2, seed=3, api_key=KEY, quirks=False, start=date(2024, 1, 1)) as server:
        monkeypatch.setenv("POLYGON_API_KEY", KEY)
        monkeypatch.setenv("EDGAR_DATA_URL", server.url)
        monkeypatch.setenv("EDGAR_IDENTITY", IDENTITY)
        server.plant("restated", ticker=sorted(server.tickers)[0])
        fill(lake, server, server.tickers)
        where = ["--lake", str(lake.root), "--base-url", server.url, "--witness", "edgar"]
        for answer, words in (
            ("blocked", "SEC EDGAR is not reachable"),
            ("undeclared", "SEC EDGAR does not accept the name given"),
        ):
            server.edgar.answer_next(answer)
            code, report = run(capsys, *where)
            assert code == 1
            assert report["differences"]["restated"] == 1
            assert any(words in note for note in report["notes"])


def test_a_malformed_identity_is_refused_before_anything_is_compared(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    monkeypatch.setenv("EDGAR_IDENTITY", "somebody")
    lake.prepare()
    code, report = run(capsys, "--lake", str(lake.root), "--witness", "edgar")
    assert code == 2
    assert "EDGAR_IDENTITY is not a name and an e-mail address" in report["error"]
