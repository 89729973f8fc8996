"""The upsert: one row a record key, nothing lost, nothing written twice."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake import Dataset, Lake, codec, index, partial, revisions
from polygon_fundamentals.lake import commit as commits
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.one_row_files import OneRowFiles
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.load.historical import _scope
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.reports import UpsertCounts
from polygon_fundamentals.statements import Generation, Statement
from tests.lakes import stored_rows, stray_files

MOMENT = datetime(2026, 7, 1, 12, tzinfo=UTC)
STATEMENT = Statement.BALANCE_SHEETS


def row(
    period_end: str, filing_date: str | None, assets: float | None, **more: Any
) -> dict[str, Any]:
    return {
        "cik": "0009000001",
        "tickers": ["AAA"],
        "period_end": period_end,
        "filing_date": filing_date,
        "fiscal_year": 2024,
        "fiscal_quarter": 1,
        "timeframe": "quarterly",
        "total_assets": assets,
        **more,
    }


def put(
    dataset: Dataset,
    rows: list[dict[str, Any]],
    scope: Scope = Scope.WINDOW,
    minutes: int = 0,
    tickers: tuple[str, ...] = ("AAA",),
) -> UpsertCounts:
    moment = MOMENT + timedelta(minutes=minutes)
    table = v2_table(rows, STATEMENT, moment)
    places = {ticker: range(len(rows)) for ticker in tickers}
    return commit(dataset, Incoming(table, places, scope, frozenset({"quarterly"}), moment))


@pytest.fixture
def dataset(lake: Lake) -> Dataset:
    return lake.dataset(Generation.V2, STATEMENT)


def assets(lake: Lake, ticker: str = "AAA") -> dict[tuple[str, int], float]:
    """Return (period end, fiscal year) → total assets of a ticker's rows; each once."""
    rows = stored_rows(lake, Generation.V2, STATEMENT).get(ticker, [])
    found = {(str(r["period_end"]), r["fiscal_year"]): r["total_assets"] for r in rows}
    assert len(found) == len(rows)
    return found


def old(dataset: Dataset) -> list[tuple[Any, ...]]:
    names = ["total_assets", "fiscal_year", "event", "known_from", "observed_at", "superseded_at"]
    return [tuple(r[n] for n in names) for r in revisions.read(dataset, "AAA").to_pylist()]


def test_a_row_that_moves_and_changes_leaves_its_old_self_in_the_revisions(
    lake: Lake, dataset: Dataset
) -> None:
    assert put(dataset, [row("2024-03-31", "2024-05-02", 1.0)]).rows_new == 1
    counts = put(dataset, [row("2024-03-31", "2025-05-03", 2.0)], minutes=5)
    assert (counts.rows_new, counts.rows_changed) == (0, 1)
    assert assets(lake) == {("2024-03-31", 2024): 2.0}
    assert not (dataset.folder / "year=2024/month=05/ticker=AAA.parquet").exists()
    assert old(dataset) == [
        (
            1.0,
            2024,
            "superseded",
            date(2024, 5, 2),
            MOMENT,
            MOMENT + timedelta(minutes=5),
        )
    ]


def test_a_changed_label_is_withdrawn_where_the_answer_was_whole(
    lake: Lake, dataset: Dataset
) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    relabelled = row("2024-03-31", "2024-05-02", 1.0, fiscal_year=2025)
    assert put(dataset, [relabelled], Scope.WINDOW).rows_withdrawn == 0
    assert set(assets(lake)) == {("2024-03-31", 2024), ("2024-03-31", 2025)}
    assert put(dataset, [relabelled], Scope.PERIODS).rows_withdrawn == 1
    assert set(assets(lake)) == {("2024-03-31", 2025)}
    assert [(r[1], r[2]) for r in old(dataset)] == [(2024, "withdrawn")]


def test_a_refresh_withdraws_what_is_gone_but_no_company_that_is_gone_whole(
    lake: Lake, dataset: Dataset
) -> None:
    put(
        dataset,
        [
            row("2024-03-31", "2024-05-02", 1.0),
            row("2024-06-30", "2024-08-02", 2.0),
            row("2024-03-31", "2024-05-02", 9.0, cik="0009000002"),
        ],
    )
    annual = row("2024-03-31", "2024-05-02", 5.0, timeframe="annual")
    put(dataset, [annual])
    counts = put(dataset, [row("2024-06-30", "2024-08-02", 2.0)], Scope.COMPANIES)
    assert counts.rows_withdrawn == 1
    kept = stored_rows(lake, Generation.V2, STATEMENT)["AAA"]
    assert sorted((r["cik"], str(r["period_end"]), r["timeframe"]) for r in kept) == [
        ("0009000001", "2024-03-31", "annual"),
        ("0009000001", "2024-06-30", "quarterly"),
        ("0009000002", "2024-03-31", "quarterly"),
    ]


QUARTERS = [
    row(f"20{y}-03-31", f"20{y}-05-02", float(y), fiscal_year=2000 + y) for y in range(10, 26)
]


def test_a_refresh_that_lacks_much_of_a_ticker_withdraws_nothing(
    lake: Lake, dataset: Dataset
) -> None:
    put(dataset, QUARTERS)
    before = assets(lake)
    corrected = QUARTERS[0] | {"total_assets": 5.5}
    counts = put(dataset, [corrected, *QUARTERS[2::2]], Scope.COMPANIES, 5)
    assert (counts.rows_withdrawn, counts.rows_withheld, counts.rows_changed) == (0, 8, 1)
    assert assets(lake) == before | {("2010-03-31", 2010): 5.5}
    counts = put(dataset, [corrected, *QUARTERS[2::2]], Scope.ACCEPTED, 10)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (8, 0)
    assert len(assets(lake)) == 8


def test_a_refresh_under_new_labels_or_with_a_few_periods_less_is_believed(
    lake: Lake, dataset: Dataset
) -> None:
    put(dataset, QUARTERS)
    relabelled = [r | {"fiscal_year": int(r["fiscal_year"]) + 1} for r in QUARTERS]
    counts = put(dataset, relabelled, Scope.COMPANIES, 5)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (len(QUARTERS), 0)
    counts = put(dataset, relabelled[3:], Scope.COMPANIES, 10)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (3, 0)


def test_a_refresh_that_lacks_the_newest_period_of_a_ticker_withdraws_nothing(
    lake: Lake, dataset: Dataset
) -> None:
    """The vendor's index was restored from a backup, or a shard of it is behind."""
    put(dataset, QUARTERS, tickers=("AAA", "BBB"))
    counts = put(dataset, QUARTERS[:-1], Scope.COMPANIES, 5, ("AAA", "BBB"))
    assert (counts.rows_withdrawn, counts.rows_withheld) == (0, 2)
    assert counts.tickers_withheld == {"AAA", "BBB"}
    assert len(assets(lake)) == len(QUARTERS)
    assert put(dataset, QUARTERS[:-1], Scope.ACCEPTED, 10).rows_withdrawn == 1


def test_a_newest_period_whose_end_was_set_right_is_no_loss(lake: Lake, dataset: Dataset) -> None:
    put(dataset, [*QUARTERS, row("2099-03-31", "2025-05-02", 25.0, fiscal_year=2099)])
    counts = put(dataset, QUARTERS, Scope.COMPANIES, 5)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (1, 0)
    moved = QUARTERS[-1] | {"period_end": "2025-03-28"}
    counts = put(dataset, [*QUARTERS[:-1], moved], Scope.COMPANIES, 10)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (1, 0)


@pytest.mark.parametrize("scope", [Scope.HISTORY, Scope.COMPANIES])
def test_period_ends_that_were_set_right_stand_once(
    lake: Lake, dataset: Dataset, scope: Scope
) -> None:
    put(dataset, [{**q, "period_end": q["period_end"][:8] + "25"} for q in QUARTERS])
    counts = put(dataset, QUARTERS, scope, 5)
    assert counts.rows_new == counts.rows_withdrawn == len(QUARTERS)
    assert counts.rows_withheld == 0
    assert {end for end, _ in assets(lake)} == {q["period_end"] for q in QUARTERS}
    # Those of a date window say nothing of other ends, and neither do daily ratios of one another.
    counts = put(dataset, [QUARTERS[0] | {"period_end": "2024-03-30"}], Scope.PERIODS, 10)
    assert (counts.rows_new, counts.rows_withdrawn) == (1, 0)
    assert partial.moved(["1|day|2026-03-30||"], ["1|day|2026-03-31||"]) == {}


@pytest.mark.parametrize("scope", [Scope.HISTORY, Scope.COMPANIES])
@pytest.mark.parametrize("filed", ["2024-05-02", "2025-02-01", "2025-04-01"])
def test_a_partial_answer_has_a_corrected_period_once(
    lake: Lake, dataset: Dataset, scope: Scope, filed: str
) -> None:
    """The end of a period was set right, and the answer of an older index has the former end."""
    set_right = QUARTERS[-2] | {"filing_date": "2025-02-01", "total_assets": 24.5}
    put(dataset, [*QUARTERS[:-2], set_right, QUARTERS[-1]])
    before = assets(lake)
    former = QUARTERS[-2] | {"period_end": "2024-03-30", "filing_date": filed}
    counts = put(dataset, [*QUARTERS[:-2], former], scope, 5)
    newest = 1 if scope is Scope.COMPANIES else 0  # of which a load of the history says nothing
    if filed > "2025-02-01":  # a filing that the lake does not have yet
        del before["2024-03-31", 2024]
        assert assets(lake) == before | {("2024-03-30", 2024): 24.0}
        assert (counts.rows_new, counts.rows_withdrawn, counts.rows_withheld) == (1, 1, newest)
    else:
        assert assets(lake) == before
        assert (counts.rows_new, counts.rows_withheld) == (0, 1 + newest)


@pytest.mark.parametrize(
    ("filters", "scope"),
    [
        (Filters(), Scope.HISTORY),
        (Filters(period_end="2024-03-31"), Scope.PERIODS),
        (Filters(fiscal_year=2024), Scope.WINDOW),
    ],
)
def test_what_an_answer_says_of_what_it_lacks(filters: Filters, scope: Scope) -> None:
    assert _scope(filters) is scope


def test_a_refresh_that_lacks_a_period_of_many_tickers_withdraws_none_of_them(
    lake: Lake, dataset: Dataset
) -> None:
    """The plan's history became shorter, or a shard of the index lacks an ingest."""
    tickers = ("AAA", "BBB", "CCC", "DDD")
    put(dataset, QUARTERS[:6], tickers=tickers)
    counts = put(dataset, QUARTERS[1:6], Scope.COMPANIES, 5, tickers)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (0, 4)
    assert counts.tickers_withheld == {*tickers}
    relabelled = [r | {"fiscal_year": int(r["fiscal_year"]) + 1} for r in QUARTERS[:6]]
    assert put(dataset, relabelled, Scope.COMPANIES, 10, tickers).rows_withdrawn == 24
    assert put(dataset, relabelled[1:], Scope.COMPANIES, 15, tickers[:3]).rows_withdrawn == 3


RESTATED = QUARTERS[11] | {"filing_date": "2022-05-02", "total_assets": 21.5}


@pytest.mark.parametrize("label", [2021, 2022])
@pytest.mark.parametrize("many", [False, True])
def test_a_partial_answer_puts_no_earlier_filing_back(
    lake: Lake, dataset: Dataset, label: int, many: bool
) -> None:
    """An index of some weeks ago lacks the newest reports, and has what they restated as it was."""
    tickers = ("AAA", "BBB", "CCC", "DDD", "EEE") if many else ("AAA",)
    # Of many tickers that lose a period AAA loses none: it has filed nothing but the restatement.
    newest = [] if many else QUARTERS[12:]
    put(dataset, [*QUARTERS[:11], RESTATED, *newest])
    put(dataset, QUARTERS[:11], tickers=tickers[1:])
    before = assets(lake)
    stale = [*QUARTERS[:11], QUARTERS[11] | {"fiscal_year": label}, *newest[:-1]]
    corrected = stale[0] | {"total_assets": 10.5}
    moment = MOMENT + timedelta(minutes=5)
    table = v2_table([corrected, *stale[1:]], STATEMENT, moment)
    rows = {"AAA": range(len(stale)), **dict.fromkeys(tickers[1:], range(10))}
    answer = Incoming(table, rows, Scope.COMPANIES, frozenset({"quarterly"}), moment)
    counts = commit(dataset, answer)
    # A correction under the same filing date is taken.
    assert assets(lake) == before | {("2010-03-31", 2010): 10.5}
    assert counts.rows_withheld == 1 + (4 if many else 1)
    assert counts.tickers_withheld == {*tickers}
    # What the API says again is taken once the user says so.
    put(dataset, [corrected, *stale[1:]], Scope.ACCEPTED, 10)
    assert assets(lake)["2021-03-31", label] == 21.0
    assert ("2021-03-31", 2021 if label == 2022 else 2022) not in assets(lake)


@pytest.mark.parametrize("label", [2021, 2022])
def test_a_load_of_the_history_puts_no_earlier_filing_back_where_it_lacks_the_newest_report(
    lake: Lake, dataset: Dataset, label: int
) -> None:
    put(dataset, [*QUARTERS[:11], RESTATED, *QUARTERS[12:]])
    before = assets(lake)
    relabelled = {"fiscal_year": 2021}
    stale = [*QUARTERS[1:11], QUARTERS[11] | {"fiscal_year": label}, *QUARTERS[12:-1]]
    corrected = QUARTERS[0] | {"total_assets": 10.5} | relabelled
    counts = put(dataset, [corrected, *stale], Scope.HISTORY, 5)
    # A correction under the same filing date is taken, and its other label goes.
    del before["2010-03-31", 2010]
    assert assets(lake) == before | {("2010-03-31", 2021): 10.5}
    assert (counts.rows_withheld, counts.tickers_withheld) == (1, {"AAA"})
    assert counts.rows_withdrawn == 1


def test_a_load_of_the_history_takes_a_corrected_filing_date(lake: Lake, dataset: Dataset) -> None:
    """Where it lacks nothing, or nothing new: it may withdraw no period, and says so of none."""
    put(dataset, [*QUARTERS[:11], RESTATED, *QUARTERS[12:]])
    counts = put(dataset, QUARTERS[3:], Scope.HISTORY, 5)
    assert (counts.rows_changed, counts.rows_withheld, counts.rows_withdrawn) == (1, 0, 0)
    assert assets(lake)["2021-03-31", 2021] == 21.0
    assert len(assets(lake)) == len(QUARTERS)


@pytest.mark.parametrize("scope", [Scope.PERIODS, Scope.HISTORY, Scope.COMPANIES])
def test_what_was_stored_after_an_answer_was_asked_for_is_not_withdrawn_by_it(
    lake: Lake, dataset: Dataset, scope: Scope
) -> None:
    """A refresh and a daily update run together; the update's answer is the later one."""
    first = row("2024-03-31", "2024-05-02", 1.0)
    put(dataset, [first])
    new = row("2024-06-30", "2024-08-02", 2.0)
    relabelled = row("2024-03-31", "2024-05-02", 1.0, fiscal_year=2025)
    put(dataset, [new, relabelled], minutes=10)
    counts = put(dataset, [first], scope, minutes=5)
    assert (counts.rows_withdrawn, counts.rows_withheld) == (0, 0)
    standing = {("2024-03-31", 2024): 1.0, ("2024-03-31", 2025): 1.0, ("2024-06-30", 2024): 2.0}
    assert assets(lake) == standing
    assert old(dataset) == []
    assert put(dataset, [first, new], scope, minutes=15).rows_withdrawn == 1
    assert assets(lake) == {("2024-03-31", 2024): 1.0, ("2024-06-30", 2024): 2.0}


def test_the_same_answer_again_touches_no_file(lake: Lake, dataset: Dataset) -> None:
    rows = [row("2024-03-31", "2024-05-02", 1.0), row("2024-06-30", None, 2.0)]
    put(dataset, rows)
    before = {p: p.stat().st_mtime_ns for p in lake.root.rglob("*") if p.is_file()}
    counts = put(dataset, rows, minutes=9)
    assert counts == UpsertCounts(rows_received=2, rows_unchanged=2)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_record_without_a_filing_date_has_a_place_of_its_own(
    lake: Lake, dataset: Dataset
) -> None:
    put(dataset, [row("2024-03-31", None, 1.0)])
    path = dataset.folder / "year=1900/month=01/ticker=AAA.parquet"
    assert pq.read_table(path, partitioning=None)["filing_date"].to_pylist() == [None]
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], minutes=1)
    assert not path.exists()
    assert assets(lake) == {("2024-03-31", 2024): 1.0}


def test_two_records_under_one_key_in_one_answer_leave_the_later_and_a_trace(
    lake: Lake, dataset: Dataset
) -> None:
    rows = [row("2024-03-31", "2024-09-09", 2.0), row("2024-03-31", "2024-05-02", 1.0)]
    put(dataset, rows)
    assert assets(lake) == {("2024-03-31", 2024): 2.0}
    assert [r[0] for r in old(dataset)] == [1.0]
    again = put(dataset, rows, minutes=1)
    assert (again.rows_changed, again.files_written, len(old(dataset))) == (0, 0, 1)


def amendment(filed: str, value: float, cik: str | None = "0009000001") -> dict[str, Any]:
    leaf = {"value": value, "unit": "USD", "label": "Assets", "order": 100}
    return {
        "cik": cik,
        "end_date": "2024-12-31",
        "filing_date": filed,
        "acceptance_datetime": f"{filed}T10:00:00Z",
        "fiscal_year": "2024",
        "fiscal_period": "FY",
        "timeframe": "annual",
        "financials": {"balance_sheet": {"assets": leaf}},
    }


def put_v1(
    dataset: Dataset, rows: list[dict[str, Any]], scope: Scope, minutes: int = 0
) -> UpsertCounts:
    moment = MOMENT + timedelta(minutes=minutes)
    table = v1_tables(rows, moment)[STATEMENT]
    places = {"AAA": range(len(rows))}
    return commit(dataset, Incoming(table, places, scope, frozenset({"annual"}), moment))


def v1_assets(lake: Lake) -> list[float]:
    kept = stored_rows(lake, Generation.V1, STATEMENT)["AAA"]
    return [r["financials"]["balance_sheet"]["assets"]["value"] for r in kept]


def test_an_amendment_of_v1_stands_and_the_first_filing_is_kept(lake: Lake) -> None:
    v1 = lake.dataset(Generation.V1, STATEMENT)
    put_v1(v1, [amendment("2025-06-01", 2.0), amendment("2025-02-01", 1.0)], Scope.PERIODS)
    assert v1_assets(lake) == [2.0]
    assert [str(d) for d in revisions.read(v1, "AAA")["filing_date"].to_pylist()] == ["2025-02-01"]


@pytest.mark.parametrize("cik", ["0009000001", None])
def test_a_filtered_answer_of_v1_does_not_put_the_original_back(
    lake: Lake, cik: str | None
) -> None:
    v1 = lake.dataset(Generation.V1, STATEMENT)
    put_v1(v1, [amendment("2025-06-01", 2.0, cik)], Scope.WINDOW)
    original = [amendment("2025-02-01", 1.0, cik)]
    counts = put_v1(v1, original, Scope.WINDOW, minutes=1)
    assert (counts.rows_changed, counts.rows_unchanged, counts.files_written) == (0, 1, 0)
    assert v1_assets(lake) == [2.0]
    assert [str(d) for d in revisions.read(v1, "AAA")["filing_date"].to_pylist()] == ["2025-02-01"]
    assert put_v1(v1, original, Scope.WINDOW, minutes=2).bytes_written == 0
    # Unfiltered, the answer is all there is: the amendment was taken back.
    put_v1(v1, original, Scope.COMPANIES, minutes=3)
    assert v1_assets(lake) == [1.0]


def test_a_record_without_a_cik_is_named_by_its_ticker(lake: Lake, dataset: Dataset) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0, cik=None)], tickers=("AAA", "BBB"))
    again = put(dataset, [row("2024-03-31", "2024-05-02", 1.0, cik=None)], tickers=("AAA", "BBB"))
    assert again.rows_unchanged == 2
    assert assets(lake, "BBB") == {("2024-03-31", 2024): 1.0}


@pytest.mark.parametrize("scope", [Scope.PERIODS, Scope.COMPANIES])
def test_a_cik_that_comes_later_takes_the_place_of_none(
    lake: Lake, dataset: Dataset, scope: Scope
) -> None:
    nameless = row("2024-03-31", "2024-05-02", 1.0, cik=None)
    put(dataset, [nameless, row("2023-12-31", "2024-02-02", 7.0, cik=None)])
    named = row("2024-03-31", "2024-05-02", 1.0)
    assert put(dataset, [named], Scope.WINDOW, minutes=1).rows_withdrawn == 0
    whole = [named, row("2023-12-31", "2024-02-02", 7.0)]
    assert put(dataset, whole, scope, minutes=2).rows_withdrawn == 2
    kept = stored_rows(lake, Generation.V2, STATEMENT)["AAA"]
    assert {r["cik"] for r in kept} == {"0009000001"}
    assert assets(lake) == {("2024-03-31", 2024): 1.0, ("2023-12-31", 2024): 7.0}
    assert [r[2] for r in old(dataset)] == ["withdrawn", "withdrawn"]
    # The other way round nothing says whose the record is.
    assert put(dataset, [nameless], scope, minutes=3).rows_withdrawn == 0


@pytest.mark.parametrize("scope", [Scope.PERIODS, Scope.COMPANIES])
def test_a_record_without_a_cik_stays_where_its_ticker_has_had_two_companies(
    lake: Lake, dataset: Dataset, scope: Scope
) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0, cik=None)])
    put(dataset, [row("2023-03-31", "2023-05-02", 9.0, cik="0009000002")])
    assert put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], scope, 1).rows_withdrawn == 0
    relabelled = row("2024-03-31", "2024-05-02", 1.0, cik=None, fiscal_year=2025)
    assert put(dataset, [relabelled], scope, 2).rows_withdrawn == 1
    kept = stored_rows(lake, Generation.V2, STATEMENT)["AAA"]
    assert sorted((r["cik"] or "", r["fiscal_year"]) for r in kept) == [
        ("", 2025),
        ("0009000001", 2024),
        ("0009000002", 2024),
    ]


def test_an_answer_older_than_what_the_lake_saw_does_not_win(lake: Lake, dataset: Dataset) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 2.0)], minutes=10)
    late = put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], minutes=1)
    assert (late.rows_changed, late.rows_unchanged) == (0, 1)
    assert assets(lake) == {("2024-03-31", 2024): 2.0}
    assert [r[0] for r in old(dataset)] == [1.0]


def test_rows_that_a_fast_clock_stamped_give_way_to_the_next_answer(
    lake: Lake, dataset: Dataset
) -> None:
    a_day_ahead = round((datetime.now(UTC) - MOMENT).total_seconds() / 60) + 24 * 60
    put(dataset, [row("2024-03-31", "2024-05-02", 2.0)], minutes=a_day_ahead)
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], minutes=10)
    assert assets(lake) == {("2024-03-31", 2024): 1.0}
    assert [r[0] for r in old(dataset)] == [2.0]


def test_damaged_revisions_stop_their_own_ticker_alone(lake: Lake, dataset: Dataset) -> None:
    everyone = ("AAA", "BBB", "CCC")
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], tickers=everyone)
    put(dataset, [row("2024-03-31", "2024-05-02", 2.0)], minutes=1, tickers=everyone)
    dataset.revisions_file("AAA").write_bytes(b"PAR1 not really")
    with pytest.raises(DamagedFileError, match=r"revisions.*ticker=AAA"):
        put(dataset, [row("2024-03-31", "2024-05-02", 3.0)], minutes=2, tickers=everyone)
    stored = [assets(lake, ticker)["2024-03-31", 2024] for ticker in everyone]
    assert stored == [2.0, 3.0, 3.0]
    assert dataset.revisions_file("AAA").read_bytes() == b"PAR1 not really"


def test_a_year_on_another_device_is_written_too(lake: Lake, dataset: Dataset) -> None:
    own = lake.root.stat().st_dev
    places = [Path("/dev/shm"), Path(tempfile.gettempdir())]
    others = [place for place in places if place.is_dir() and place.stat().st_dev != own]
    if not others:
        pytest.skip("needs /dev/shm on another device than the temporary folder")
    with tempfile.TemporaryDirectory(dir=others[0]) as elsewhere:
        dataset.folder.mkdir(parents=True)
        (dataset.folder / "year=2024").symlink_to(elsewhere)
        put(dataset, [row("2024-03-31", "2024-05-02", 1.0), row("2025-03-31", "2025-05-02", 3.0)])
        put(dataset, [row("2024-03-31", "2024-05-02", 2.0)], minutes=1)
        assert assets(lake) == {("2024-03-31", 2024): 2.0, ("2025-03-31", 2024): 3.0}
        assert stray_files(lake) == []


def test_a_value_changed_within_one_tick_is_read(lake: Lake, dataset: Dataset) -> None:
    """The file keeps its size, and the clock gives both writes one time of change."""
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    path = dataset.file(202405, "AAA")
    ahead = time.time_ns() + 10**12
    os.utime(path, ns=(ahead, ahead))
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], minutes=1)
    assert read_dataset(dataset)["total_assets"].to_pylist() == [1.0]
    put(dataset, [row("2024-03-31", "2024-05-02", 2.0)], minutes=2)
    assert path.stat().st_mtime_ns > ahead
    assert read_dataset(dataset)["total_assets"].to_pylist() == [2.0]


def test_rows_that_change_places_are_never_missing(
    lake: Lake, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = row("2024-03-31", "2024-05-02", 1.0)
    second = row("2024-06-30", "2024-08-02", 2.0)
    put(dataset, [first, second])
    seen: list[int] = []
    real = os.replace

    def watched(source: Any, target: Any) -> None:
        real(source, target)
        rows = stored_rows(lake, Generation.V2, STATEMENT).get("AAA", [])
        seen.append(len({str(r["period_end"]) for r in rows}))

    monkeypatch.setattr(os, "replace", watched)
    swapped = [{**first, "filing_date": "2024-08-02"}, {**second, "filing_date": "2024-05-02"}]
    put(dataset, swapped, minutes=1)
    assert seen
    assert set(seen) == {2}
    assert assets(lake) == {("2024-03-31", 2024): 1.0, ("2024-06-30", 2024): 2.0}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


def test_killed_at_any_step_the_next_run_puts_it_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [
        row("2024-03-31", "2024-05-02", 1.0),
        row("2024-06-30", "2024-08-02", 2.0),
        row("2024-09-30", "2024-08-09", 3.0),
    ]
    after = [
        {**before[0], "filing_date": "2025-05-02", "total_assets": 1.5},
        {**before[1], "filing_date": "2024-05-03"},
        before[2],
        row("2024-12-31", "2025-02-02", 4.0),
    ]
    real_replace, real_unlink = os.replace, Path.unlink
    for step in itertools.count():
        lake = Lake(tmp_path / str(step))
        lake.prepare()
        dataset = lake.dataset(Generation.V2, STATEMENT)
        put(dataset, before)
        left = [step]

        def counted(action: Any, left: list[int] = left) -> Any:
            def run(*args: Any, **kwargs: Any) -> Any:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return action(*args, **kwargs)

            return run

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted(real_replace))
            patch.setattr(Path, "unlink", counted(real_unlink))
            patch.setattr(commits.shutil, "rmtree", lambda *_, **__: None)
            try:
                put(dataset, after, minutes=1)
                finished = True
            except Killed:
                finished = False
        for path in dataset.folder.rglob("*.parquet"):
            pq.read_table(path, partitioning=None)
        held = read_dataset(dataset)
        assert held.num_rows >= 3
        recover(lake)
        put(dataset, after, minutes=2)
        expected = {
            ("2024-03-31", 2024): 1.5,
            ("2024-06-30", 2024): 2.0,
            ("2024-09-30", 2024): 3.0,
            ("2024-12-31", 2024): 4.0,
        }
        assert assets(lake) == expected, step
        assert [r[0] for r in old(dataset)].count(1.0) == 1, step
        assert stray_files(lake) == [], step
        if finished:
            break
    assert step > 8


def test_what_dead_writers_left_is_removed_and_what_live_ones_write_is_not(lake: Lake) -> None:
    folder = lake.ops / "index" / "v2.cash_flow"
    folder.mkdir(parents=True)
    alive = local.temporary_name(folder / "ticker=AAA.json")
    gone = alive.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")
    dead, host = alive.with_name(gone), socket.gethostname()
    elsewhere = alive.with_name(gone.replace(host, f"no-{host}x"))
    # A container of the same host name, whose processes cannot be seen from here.
    unseen = alive.with_name(re.sub(rf"{re.escape(host)}\.\d+", f"{host}.1", gone))
    # Another host of the same name, whose first namespace has the same number too.
    namesake = alive.with_name(gone.replace(f".{local.boot_id()[:8]}-", ".00000000-"))
    assert namesake != dead
    for path in (dead, alive, elsewhere, unseen, namesake):
        path.touch()
    recover(lake)
    there = [p.exists() for p in (dead, alive, elsewhere, unseen, namesake)]
    assert there == [False, True, True, True, True]


def test_a_file_that_does_not_read_back_is_not_put_in_place(
    lake: Lake, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update of the Parquet writer with a fault in it."""
    many, one = codec.encode, OneRowFiles.encode
    first, second = row("2024-03-31", "2024-05-02", 1.0), row("2024-06-30", "2024-05-03", 2.0)
    codec_faults = (lambda t, d: many(t.slice(0, 0), d), lambda t, d: many(t, d)[:-30])
    one_row_faults = (lambda f, i, t: one(f, 1 - i, t), lambda f, i, t: one(f, i, t)[:-30])
    for fault in codec_faults:
        with monkeypatch.context() as patch:
            patch.setattr(codec, "encode", fault)
            with pytest.raises(LakeError, match="does not read back as it should"):
                put(dataset, [first, second])  # two rows of one month are one file
    for wrong in one_row_faults:
        with monkeypatch.context() as patch:
            patch.setattr(OneRowFiles, "encode", wrong)
            with pytest.raises(LakeError, match="does not read back as it should"):
                put(dataset, [first, {**second, "filing_date": "2024-08-02"}])
    assert list(dataset.files()) == []
    put(dataset, [first, second])
    assert read_dataset(dataset).num_rows == 2


def test_what_a_commit_kept_gives_way_to_what_another_tool_wrote(
    lake: Lake, dataset: Dataset
) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    put(dataset, [row("2024-06-30", "2024-08-02", 2.0)], minutes=1)
    parts = sorted((lake.ops / "cache").rglob("[0-9]*.parquet"))
    assert len(parts) == 2
    parts[0].write_bytes(b"PAR1 cut short")
    shorter = dataset.file(202408, "AAA")
    shorter.write_bytes(codec.encode(codec.read(shorter, dataset, "AAA")[0].slice(0, 0), dataset))
    assert read_dataset(dataset)["partition"].to_pylist() == [202405]
    assert len(sorted((lake.ops / "cache").rglob("[0-9]*.parquet"))) == 1


def test_a_damaged_file_is_named_and_stays(lake: Lake, dataset: Dataset) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    path = dataset.file(202405, "AAA")
    path.write_bytes(b"PAR1 not really")
    everyone = ("AAA", "BBB", "CCC", "DDD")  # in several buckets, before and after AAA's
    with pytest.raises(DamagedFileError, match="ticker=AAA"):
        put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], minutes=1, tickers=everyone)
    for ticker in everyone[1:]:
        assert dataset.file(202405, ticker).exists()
    assert path.read_bytes() == b"PAR1 not really"
    with pytest.raises(DamagedFileError, match="ticker=AAA"):
        read_dataset(dataset)


def test_an_index_that_was_lost_is_built_anew(lake: Lake, dataset: Dataset) -> None:
    rows = [row("2024-03-31", "2024-05-02", 1.0), row("2024-06-30", "2024-08-02", 2.0)]
    put(dataset, rows)
    for path in (lake.ops / "index").rglob("*.json"):
        path.unlink()
    assert put(dataset, rows, minutes=1).rows_unchanged == 2
    dataset.index_file("AAA").write_text("{ damaged")
    assert put(dataset, rows, minutes=2).rows_unchanged == 2
    assert json.loads(dataset.index_file("AAA").read_bytes())["version"] == index.VERSION


def test_one_index_that_was_lost_does_not_double_a_period_that_moves(
    lake: Lake, dataset: Dataset
) -> None:
    """Nothing of the answer goes to the file in which the period stood."""
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    dataset.index_file("AAA").unlink()
    put(dataset, [row("2024-03-31", "2024-08-02", 1.0)], minutes=1)
    assert assets(lake) == {("2024-03-31", 2024): 1.0}
    assert dataset.partitions_of(["AAA"]) == {"AAA": {202408}}


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"AAA": "x"}', b"\xff"])
def test_notes_that_were_damaged_are_derived_from_the_files(
    lake: Lake, dataset: Dataset, damage: bytes
) -> None:
    rows = [row("2024-03-31", "2024-05-02", 1.0)]
    put(dataset, rows)
    note = lake.ops / "unfinished" / f"{dataset.name}.{bucket_of('AAA'):02d}.json"
    note.parent.mkdir(exist_ok=True)
    note.write_bytes(damage)
    assert put(dataset, rows, minutes=1, tickers=("AAA", "BBB")).rows_unchanged == 1
    assert assets(lake, "BBB") == {("2024-03-31", 2024): 1.0}
    assert not note.exists()


@pytest.mark.parametrize(
    "named",
    [
        "year=2024/month=5",
        "year=24/month=05",
        "year=2024/month=13",
        "year=0/month=05",
        "year=99999/month=05",
    ],
)
def test_a_folder_that_is_not_named_as_months_are_is_refused(dataset: Dataset, named: str) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    (dataset.folder / named).mkdir(parents=True)
    with pytest.raises(LakeError, match="is not named as the lake names months: rename it to"):
        read_dataset(dataset)


def test_a_file_with_a_second_name_for_its_ticker_is_refused(dataset: Dataset) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    path = dataset.file(202405, "AAA")
    path.with_name("ticker=%41AA.parquet").write_bytes(path.read_bytes())
    for look in (lambda: read_dataset(dataset), dataset.partitions_by_ticker):
        with pytest.raises(LakeError, match=r"ticker=%41AA.parquet is not named .* AAA: rename"):
            look()


def test_a_file_changed_behind_our_back_is_read_again(lake: Lake, dataset: Dataset) -> None:
    put(dataset, [row("2024-03-31", "2024-05-02", 1.0)])
    dataset.file(202405, "AAA").unlink()
    assert put(dataset, [row("2024-03-31", "2024-05-02", 1.0)], minutes=1).rows_new == 1


PERIODS = st.sampled_from(["2024-03-31", "2024-06-30", "2024-09-30"])
FILED = st.sampled_from([None, "2024-05-02", "2024-05-20", "2024-08-02", "2025-05-02"])
ROWS = st.builds(
    lambda p, f, a, y: row(p, f, a, fiscal_year=y),
    PERIODS,
    FILED,
    st.sampled_from([0.0, 1.0, 2.5, None]),
    st.sampled_from([2024, 2025]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=2, max_size=5))
def test_any_sequence_of_answers_ends_as_a_dictionary_would(
    answers: list[list[dict[str, Any]]],
) -> None:
    model: dict[tuple[str, int], dict[str, Any]] = {}
    versions: set[tuple[Any, ...]] = set()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.prepare()
        dataset = lake.dataset(Generation.V2, STATEMENT)
        for minute, answer in enumerate(answers):
            put(dataset, answer, minutes=minute)
            latest: dict[tuple[str, int], dict[str, Any]] = {}
            for item in answer:
                key = (item["period_end"], item["fiscal_year"])
                versions.add((*key, item["filing_date"], item["total_assets"]))
                if key not in latest or (item["filing_date"] or "") >= (
                    latest[key]["filing_date"] or ""
                ):
                    latest[key] = item
            model |= latest
        assert assets(lake) == {key: item["total_assets"] for key, item in model.items()}
        seen = stored_rows(lake, Generation.V2, STATEMENT)["AAA"]
        seen += revisions.read(dataset, "AAA").to_pylist()
        kept = {
            (
                str(r["period_end"]),
                r["fiscal_year"],
                None if r["filing_date"] is None else str(r["filing_date"]),
                r["total_assets"],
            )
            for r in seen
        }
        assert kept == versions  # nothing observed is ever thrown away
