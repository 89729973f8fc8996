"""A file that vanished is missed by the next load of its ticker, whose index still lists it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Dataset, Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.recovery import recover, take_in
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement
from tests.lakes import stored_rows

MOMENTS = (datetime(2026, 7, 1, tzinfo=UTC) + timedelta(minutes=n) for n in itertools.count())
FIRST, SECOND, THIRD = (
    {"period_end": "2024-03-31", "filing_date": "2024-05-02", "fiscal_quarter": 1},
    {"period_end": "2024-06-30", "filing_date": "2024-08-02", "fiscal_quarter": 2},
    {"period_end": "2024-09-30", "filing_date": "2024-11-02", "fiscal_quarter": 3},
)


@pytest.fixture
def dataset(lake: Lake) -> Dataset:
    """A dataset of which the file of AAA's first quarter is gone."""
    dataset = lake.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    put(dataset, [FIRST, SECOND])
    (dataset.folder / "year=2024/month=05/ticker=AAA.parquet").unlink()
    return dataset


def put(dataset: Dataset, rows: list[dict[str, Any]], scope: Scope = Scope.WINDOW) -> None:
    whole = {"cik": "1", "tickers": ["AAA"], "fiscal_year": 2024, "timeframe": "quarterly"}
    moment = next(MOMENTS)
    table = v2_table([whole | row for row in rows], Statement.BALANCE_SHEETS, moment)
    incoming = Incoming(table, {"AAA": range(len(rows))}, scope, frozenset({"quarterly"}), moment)
    commit(dataset, incoming)


def ends(lake: Lake) -> list[str]:
    rows = stored_rows(lake, Generation.V2, Statement.BALANCE_SHEETS).get("AAA", [])
    return sorted(str(row["period_end"]) for row in rows)


def test_an_update_does_not_forget_it(lake: Lake, dataset: Dataset) -> None:
    with pytest.raises(DamagedFileError, match=r"month=05/ticker=AAA.parquet is not there, and"):
        put(dataset, [THIRD])
    assert ends(lake) == ["2024-06-30"]
    assert [problem.file for problem in verify(lake).problems] == [
        "bronze/fundamentals_v2/balance_sheets/year=2024/month=05/ticker=AAA.parquet"
    ]


def test_a_load_of_the_history_that_has_its_rows_brings_it_back(
    lake: Lake, dataset: Dataset
) -> None:
    put(dataset, [FIRST, SECOND, THIRD], Scope.COMPANIES)
    assert ends(lake) == ["2024-03-31", "2024-06-30", "2024-09-30"]
    assert verify(lake).problems == ()


def test_a_load_of_the_history_that_lacks_them_says_so(lake: Lake, dataset: Dataset) -> None:
    with pytest.raises(DamagedFileError, match=r"no longer serves all of it, remove \S+AAA.json"):
        put(dataset, [SECOND, THIRD], Scope.COMPANIES)
    dataset.index_file("AAA").unlink()
    put(dataset, [SECOND, THIRD], Scope.COMPANIES)
    assert ends(lake) == ["2024-06-30", "2024-09-30"]


def test_what_another_tool_wrote_meanwhile_hides_nothing(lake: Lake, dataset: Dataset) -> None:
    path = dataset.folder / "year=2024/month=08/ticker=AAA.parquet"
    path.touch()
    take_in(dataset)
    recover(lake)
    with pytest.raises(DamagedFileError, match="month=05"):
        put(dataset, [THIRD])


def test_an_index_that_a_loss_of_power_made_old_is_put_right(lake: Lake) -> None:
    dataset = lake.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    put(dataset, [FIRST, SECOND])
    old = dataset.index_file("AAA").read_bytes()
    put(dataset, [{**FIRST, "filing_date": "2025-05-02"}])  # the row moves to another month
    put(dataset, [{**FIRST, "filing_date": "2025-06-02"}])
    dataset.index_file("AAA").write_bytes(old)
    put(dataset, [THIRD])
    assert ends(lake) == ["2024-03-31", "2024-06-30", "2024-09-30"]
    assert verify(lake).problems == ()
