"""Comparing a lake: whole companies, only what changed, and the same answer either way."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.field_map import v2_fields
from polygon_fundamentals.lake import Dataset, Lake, cache, codec, processes
from polygon_fundamentals.lake.catalogue import companies_of
from polygon_fundamentals.lake.file_names import bucket_of, ticker_file_name
from polygon_fundamentals.lake.listing import by_bucket, states
from polygon_fundamentals.parity import findings as found_tables
from polygon_fundamentals.parity import plan as parity_plan
from polygon_fundamentals.parity.company_values import company_values
from polygon_fundamentals.parity.coverage import expect_every_statement
from polygon_fundamentals.parity.findings import NAMES, StatementFindings
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.run import (
    names_found_missing,
    names_to_look_up,
    sampled,
    v1_tickers,
)
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.periods.companies import clusters_of
from polygon_fundamentals.reference.tickers import (
    ReferenceTicker,
    company_name,
    known_tickers,
    reference_file,
)
from polygon_fundamentals.statements import Generation, Statement
from tests.filled import change_rows, comparison, filled, set_column

CF = Statement.CASH_FLOW
ROOT = Path(__file__).parents[3]
TOLERANCES = load_tolerances(ROOT / "expectations" / "tolerances.yaml")
QUESTION = Question(TOLERANCES, (), {}, date(2026, 10, 1))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("source") / "lake"
    return filled(root, companies=3, seed=7, start=date(2025, 1, 1))


@pytest.fixture
def mine(source: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(source.root, tmp_path / "mine")
    return Lake(tmp_path / "mine")


def content(findings: StatementFindings) -> dict[str, list[dict[str, object]]]:
    """All rows, in an order that does not depend on how they were found."""
    return {name: sorted(findings.table(name).to_pylist(), key=repr) for name in NAMES}


def cached(lake: Lake, name: str) -> Path:
    return lake.ops / "cache" / "parity" / CF.value / f"{name}.parquet"


def afresh(lake: Lake) -> StatementFindings:
    shutil.rmtree(lake.ops / "cache")
    return comparison(lake, CF, QUESTION).findings


def test_the_values_of_one_company_leave_the_cache_of_others_in_its_bucket(mine: Lake) -> None:
    first, other, *_ = v1_tickers(mine)
    neighbour = next(t for t in map("X{}".format, range(999)) if bucket_of(t) == bucket_of(first))
    for path in mine.root.rglob(ticker_file_name(other)):
        path.rename(path.with_name(ticker_file_name(neighbour)))
    findings = [comparison(mine, statement, QUESTION).findings for statement in Statement]
    [(some, values)] = company_values(mine, [first], findings)
    assert list(some) == [first]
    assert set(values["ticker"]) == {first}
    for generation in Generation:
        dataset = mine.dataset(generation, CF)
        for bucket, now in by_bucket(states(dataset)).items():
            assert cache.fresh(dataset, bucket, now) == []


def test_the_values_of_companies_are_read_by_the_listings_of_the_plan(
    mine: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list a market again took 30 s, and 0.4 GB of memory while the report was made."""
    first, *_ = v1_tickers(mine)
    findings = [comparison(mine, statement, QUESTION).findings for statement in Statement]
    listed: list[Dataset] = []
    monkeypatch.setattr(Dataset, "files", lambda dataset: listed.append(dataset) or iter(()))
    [(_, values)] = company_values(mine, [first], findings)
    assert (listed, set(values["statement"])) == ([], {s.value for s in Statement})


def test_a_second_run_compares_nothing_and_finds_the_same(mine: Lake) -> None:
    first, second = (comparison(mine, CF, QUESTION) for _ in range(2))
    tickers = len(v1_tickers(mine))
    assert (first.tickers_compared_anew, first.tickers_from_cache) == (tickers, 0)
    assert (second.tickers_compared_anew, second.tickers_from_cache) == (0, tickers)
    assert content(second.findings) == content(first.findings)


@pytest.mark.slow
def test_read_in_processes_it_finds_the_same(mine: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = content(afresh(mine))
    monkeypatch.setattr(processes, "FILES_WORTH_PROCESSES", 1)
    assert content(afresh(mine)) == alone
    caches = sorted((mine.ops / "cache").glob(f"v?.{CF.value}.*/*.parquet"))
    assert len(caches) >= 2


def test_what_the_load_had_in_hand_is_what_its_files_hold(
    mine: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    really = codec.read
    monkeypatch.setattr(codec, "read", lambda path, *rest: read.append(path) or really(path, *rest))
    in_hand = content(comparison(mine, CF, QUESTION).findings)
    assert read == []
    assert content(afresh(mine)) == in_hand
    assert len(read) >= 40


def test_only_the_company_that_changed_is_compared_again(mine: Lake) -> None:
    comparison(mine, CF, QUESTION)
    ticker = v1_tickers(mine)[0]
    field = "net_cash_from_investing_activities_continuing_operations"
    wrong = set_column(field, lambda t: [v and v * 1.7 for v in t[field].to_pylist()])
    change_rows(mine, Generation.V2, CF, wrong, ticker)
    again = comparison(mine, CF, QUESTION)
    cluster = again.tickers_compared_anew
    assert 1 <= cluster < len(v1_tickers(mine))
    assert content(again.findings) == content(afresh(mine))


@pytest.mark.slow
def test_a_company_that_left_is_forgotten(mine: Lake) -> None:
    comparison(mine, CF, QUESTION)
    ticker = v1_tickers(mine)[-1]
    for generation in Generation:
        change_rows(mine, generation, CF, lambda t: t.slice(0, 0), ticker)
    again = comparison(mine, CF, QUESTION)
    assert ticker not in again.findings.frame("v1_records")["ticker"].unique()
    assert content(again.findings) == content(afresh(mine))


@pytest.mark.slow
def test_batches_find_what_one_run_finds(mine: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = content(comparison(mine, CF, QUESTION).findings)
    monkeypatch.setattr(parity_plan, "BATCH_TICKERS", 2)
    assert content(afresh(mine)) == whole


@pytest.mark.parametrize("warm", [False, True])
def test_some_tickers_are_compared_as_in_the_whole(mine: Lake, warm: bool) -> None:
    if warm:
        comparison(mine, CF, QUESTION)
    ticker = v1_tickers(mine)[0]
    part = comparison(mine, CF, QUESTION, [ticker]).findings
    whole = comparison(mine, CF, QUESTION).findings
    members = part.frame("tickers")["ticker"].tolist()
    assert ticker in members
    rows = {
        name: [row for row in table if row["ticker"] in members]
        for name, table in content(whole).items()
    }
    assert content(part) == rows


def test_what_is_known_of_a_ticker_changes_its_result(mine: Lake) -> None:
    ticker = v1_tickers(mine)[0]
    change_rows(mine, Generation.V2, CF, lambda t: t.slice(0, 0), ticker)
    before = comparison(mine, CF, QUESTION).findings.frame("tickers")
    company = company_name(next(iter(companies_of(mine, Generation.V1)[ticker])))
    gone: dict[str, ReferenceTicker] = {
        name: {"active": False, "cik": None} for name in (ticker, company)
    }
    asked = Question(TOLERANCES, (), gone, QUESTION.today)
    after = comparison(mine, CF, asked)
    kinds = after.findings.frame("tickers").set_index("ticker")["kind"]
    assert before.set_index("ticker")["kind"][ticker] == "missing"
    assert kinds[ticker] == "delisted"
    assert after.tickers_compared_anew < len(v1_tickers(mine))


def test_a_statement_that_v2_lost_of_a_delisted_company_is_missing(mine: Lake) -> None:
    """v2 covers listed companies only, but it covers this one: it has the other statements."""
    ticker = v1_tickers(mine)[0]
    change_rows(mine, Generation.V2, CF, lambda t: t.slice(0, 0), ticker)
    company = company_name(next(iter(companies_of(mine, Generation.V1)[ticker])))
    gone: dict[str, ReferenceTicker] = {
        name: {"active": False, "cik": None} for name in (ticker, company)
    }
    question = Question(TOLERANCES, (), gone, QUESTION.today)
    for left, kind in ((list(Statement), "missing"), ([CF], "delisted")):
        findings = [comparison(mine, statement, question).findings for statement in left]
        expect_every_statement(findings)
        tickers = findings[left.index(CF)].frame("tickers").set_index("ticker")
        assert tickers["kind"][ticker] == kind
        assert set(tickers["kind"].drop(ticker)) == {"present"}


def test_a_symbol_that_passed_to_another_company_is_looked_up(mine: Lake) -> None:
    """v1's file holds its former company too; v2, as it must, has the present one alone."""
    assert names_to_look_up(mine, v1_tickers(mine)) == []
    ticker, company = v1_tickers(mine)[0], "CIK0000000001"
    years = set_column(
        "cik",
        lambda t: [
            "1" if frame == "annual" else cik
            for frame, cik in zip(t["timeframe"].to_pylist(), t["cik"].to_pylist(), strict=True)
        ],
    )
    for statement in Statement:
        change_rows(mine, Generation.V1, statement, years, ticker)
    assert names_to_look_up(mine, v1_tickers(mine)) == [ticker, company]
    assert names_to_look_up(mine, v1_tickers(mine)[1:]) == []

    present = next(iter(companies_of(mine, Generation.V2)[ticker]))
    passed_on: dict[str, ReferenceTicker] = {ticker: {"active": True, "cik": present}}
    lives: dict[str, ReferenceTicker] = {company: {"active": True, "cik": "0000000001"}}
    unlisted: dict[str, ReferenceTicker] = {company: {"active": None, "cik": None}}
    for reference, kind in (
        ({}, "missing"),
        (passed_on, "missing"),
        (passed_on | unlisted, "delisted"),
        (passed_on | lives, "missing"),
    ):
        question = Question(TOLERANCES, (), reference, QUESTION.today)
        tickers = comparison(mine, CF, question).findings.frame("tickers")
        former = tickers[tickers["cik"] == "0000000001"]
        assert list(zip(former["ticker"], former["kind"], strict=True)) == [(ticker, kind)]


def test_a_company_of_which_v2_has_empty_records_alone_is_looked_up(mine: Lake) -> None:
    """Its files look like any others, until their amounts are compared."""
    ticker = v1_tickers(mine)[0]
    [cik] = companies_of(mine, Generation.V2)[ticker]
    assert names_found_missing([comparison(mine, CF, QUESTION).findings]) == []
    for name in v2_fields(CF):
        nothing = set_column(name, lambda t: [None] * len(t))
        change_rows(mine, Generation.V2, CF, nothing, ticker)
    assert names_to_look_up(mine, v1_tickers(mine)) == []
    findings = comparison(mine, CF, QUESTION).findings
    names = names_found_missing([findings])
    assert names == sorted([ticker, company_name(cik)])
    # The next run knows of them from the start, so that nothing is compared twice again.
    reference_file(mine).parent.mkdir(parents=True, exist_ok=True)
    entry = {"active": False, "cik": cik, "asked": QUESTION.today.isoformat()}
    reference_file(mine).write_text(json.dumps(dict.fromkeys([*names, "ELSE"], entry)))
    assert names_to_look_up(mine, v1_tickers(mine)) == names
    assert names_to_look_up(mine, v1_tickers(mine)[1:]) == []
    known = known_tickers(mine, names, None, QUESTION.today).tickers
    question = Question(TOLERANCES, (), known, QUESTION.today)
    assert names_found_missing([comparison(mine, CF, question).findings]) == []


def test_a_damaged_cache_is_built_anew(mine: Lake) -> None:
    before = content(comparison(mine, CF, QUESTION).findings)
    cached(mine, "values").write_bytes(b"no Parquet")
    again = comparison(mine, CF, QUESTION)
    assert again.tickers_from_cache == 0
    assert content(again.findings) == before


def test_a_cache_with_one_wrong_byte_is_built_anew(mine: Lake) -> None:
    before = content(comparison(mine, CF, QUESTION).findings)
    path = cached(mine, "values")
    footer = pq.read_metadata(path)
    chunk = footer.row_group(0).column(footer.schema.names.index("v1_value"))
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    again = comparison(mine, CF, QUESTION)
    assert again.tickers_from_cache == 0
    assert content(again.findings) == before


def test_what_cannot_be_read_later_is_named_with_the_remedy(mine: Lake) -> None:
    findings = comparison(mine, CF, QUESTION).findings
    (findings.folder / "values.parquet").write_bytes(b"no Parquet")
    with pytest.raises(
        DamagedFileError, match=r"values\.parquet cannot be read .* run parity again"
    ):
        findings.totals(())


def test_a_company_without_anything_to_compare(mine: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    sheets = Statement.BALANCE_SHEETS
    ticker = v1_tickers(mine)[0]
    over_a_year = set_column("timeframe", lambda t: ["ttm"] * t.num_rows)
    change_rows(mine, Generation.V1, sheets, over_a_year, ticker)
    monkeypatch.setattr(parity_plan, "BATCH_TICKERS", 1)
    alone = comparison(mine, sheets, QUESTION, [ticker])
    whole = comparison(mine, sheets, QUESTION)
    assert alone.tickers_compared_anew >= 1
    assert whole.tickers_compared_anew + whole.tickers_from_cache == len(v1_tickers(mine))
    assert set(whole.findings.frame("tickers")["ticker"]) < set(v1_tickers(mine))


def test_what_one_run_found_stays_when_another_replaces_the_cache(mine: Lake) -> None:
    first = comparison(mine, CF, QUESTION).findings
    before = content(first)
    ticker = v1_tickers(mine)[0]
    change_rows(mine, Generation.V2, CF, lambda t: t.slice(0, 0), ticker)
    second = comparison(mine, CF, QUESTION).findings
    assert content(first) == before != content(second)


@pytest.mark.slow
def test_tables_of_many_groups_hold_the_same(mine: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = content(comparison(mine, CF, QUESTION).findings)
    monkeypatch.setattr(found_tables, "GROUP_ROWS", 10)
    monkeypatch.setattr(parity_plan, "BATCH_TICKERS", 1)
    found = afresh(mine)
    assert len(list(found.batches("seen"))) >= 3
    assert content(found) == whole
    ticker = v1_tickers(mine)[0]
    change_rows(mine, Generation.V2, CF, lambda t: t.slice(0, 0), ticker)
    part = comparison(mine, CF, QUESTION).findings
    assert content(part) == content(afresh(mine))


def test_clusters() -> None:
    ciks = {"A": ["1"], "A.B": ["1"], "MU": ["2", "3"], "OLD": ["3"], "X": [], "Y": []}
    assert sorted(clusters_of(ciks)) == [("A", "A.B"), ("MU", "OLD"), ("X",), ("Y",)]


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    names = [f"T{n}" for n in range(50)]
    assert sampled(names, 5, 1) == sampled(list(reversed(names)), 5, 1)
    assert sampled(names, 5, 1) != sampled(names, 5, 2)
    assert sampled(names, 99, 1) == sorted(names)


def test_no_rows_are_still_tables(mine: Lake) -> None:
    part = comparison(mine, CF, QUESTION, ["NOBODY"]).findings
    assert {part.table(name).num_rows for name in NAMES} == {0}
    assert all(part.table(name).column_names for name in NAMES)
