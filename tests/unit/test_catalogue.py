"""The catalogue: its numbers equal a full count, and it notices what changed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.datasets.keys import period_of, record_keys
from polygon_fundamentals.lake import Dataset, Lake, catalogue, dataset_summary, index
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.lake.dataset_summary import Look
from polygon_fundamentals.lake.file_names import UNDATED
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.load.companies import read_companies, write_companies
from polygon_fundamentals.load.store import StoreJob, store_v1, store_v2
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.templates import copied

NOW = datetime(2026, 7, 2, tzinfo=UTC)


def fill(lake: Lake, box: Sandbox, tickers: Sequence[str]) -> None:
    lake.prepare()
    follow: dict[str, list[str]] = {ticker: [] for ticker in tickers}
    body = json.dumps({"results": box.rows("v1")}).encode()
    frames = frozenset(("quarterly", "annual", "ttm"))
    root = str(lake.root)
    store_v1(StoreJob(root, list(Statement), [body], follow, Scope.WINDOW, frames, NOW))
    for statement in Statement:
        body = json.dumps({"results": box.rows("v2", statement.value)}).encode()
        store_v2(StoreJob(root, [statement], [body], follow, Scope.WINDOW, frames, NOW))


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(companies=10, start=date(2025, 1, 1))


@pytest.fixture
def filled(lake: Lake, box: Sandbox) -> Lake:
    return copied(lake, fill, box, ("SBX.A", "SBX.B", "NAN", "MUX"))


def full_count(dataset: Dataset) -> dict[str, Any]:
    table = read_dataset(dataset)
    dates = [day for day in table["filing_date"].to_pylist() if day]
    files = [entry for _, _, entry in dataset.files()]
    return {
        "records": table.num_rows,
        "tickers": len(set(table["ticker"].to_pylist())),
        "periods": len({period_of(key) for key in record_keys(table, dataset.generation)}),
        "files": len(files),
        "bytes": sum(entry.stat().st_size for entry in files),
        "first_filed": min(dates),
        "last_filed": max(dates),
        "undated": table["filing_date"].null_count,
    }


def counted(dataset: Dataset) -> dict[str, Any]:
    found = catalogue.count(dataset)
    return {name: getattr(found, name) for name in full_count(dataset)}


def test_the_timeframes_that_are_held(lake: Lake, box: Sandbox) -> None:
    assert catalogue.timeframes(lake, Generation.V1) == []
    for frames in (["annual"], ["quarterly", "annual"], ["quarterly", "annual", "ttm"]):
        rows = [row for row in box.rows("v1") if row["timeframe"] in frames]
        body = json.dumps({"results": rows}).encode()
        job = StoreJob(
            root=str(lake.root),
            statements=list(Statement),
            bodies=[body],
            companies={"SBX.A": []},
            scope=Scope.WINDOW,
            timeframes=frozenset(frames),
            observed_at=NOW,
        )
        store_v1(job)
        assert catalogue.timeframes(lake, Generation.V1) == frames
    # Of files that another tool wrote there is no index.
    for statement in Statement:
        lake.dataset(Generation.V1, statement).index_file("SBX.A").unlink()
    assert catalogue.timeframes(lake, Generation.V1) == frames


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize(
    "statement",
    [
        Statement.CASH_FLOW,
        *(pytest.param(s, marks=pytest.mark.slow) for s in Statement if s != Statement.CASH_FLOW),
    ],
)
def test_counts_equal_a_full_count(
    filled: Lake, generation: Generation, statement: Statement
) -> None:
    dataset = filled.dataset(generation, statement)
    cold = counted(dataset)
    assert cold == full_count(dataset)
    assert cold["tickers"] == 4
    assert counted(dataset) == cold


def test_share_classes_count_a_period_once(filled: Lake) -> None:
    found = catalogue.count(filled.dataset(Generation.V2, Statement.BALANCE_SHEETS))
    assert found.records > found.periods


@pytest.mark.parametrize("generation", Generation)
def test_files_without_an_index_are_opened(filled: Lake, generation: Generation) -> None:
    dataset = filled.dataset(generation, Statement.CASH_FLOW)
    for ticker in ("NAN", "SBX.A"):
        dataset.index_file(ticker).unlink()
    assert counted(dataset) == full_count(dataset)


def test_a_second_count_opens_nothing(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    before = catalogue.count(dataset)

    def refuse(*_: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(dataset_summary.codec, "read", refuse)
    monkeypatch.setattr(dataset_summary, "_from_index", refuse)
    assert catalogue.count(dataset) == before


def test_a_file_that_another_tool_wrote_over_is_noticed(filled: Lake) -> None:
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    before = catalogue.count(dataset)
    partition = next(p for p, ticker, _ in dataset.files() if ticker == "NAN")
    path = dataset.file(partition, "NAN")
    table = pq.ParquetFile(path).read()
    pq.write_table(table.slice(0, 0), path)
    assert catalogue.count(dataset).records == before.records - table.num_rows
    assert counted(dataset) == full_count(dataset)


def settle(dataset: Dataset) -> None:
    """Make every folder of a dataset look as if it had last changed an hour ago."""
    for _, folder in dataset.partitions():
        os.utime(folder, (time.time() - 3600, time.time() - 3600))


def written_over_in_place(dataset: Dataset) -> int:
    """Write a file without rows over one of NAN's, as another tool does; return its rows."""
    path = dataset.file(next(p for p, ticker, _ in dataset.files() if ticker == "NAN"), "NAN")
    table = pq.ParquetFile(path).read()
    pq.write_table(table.slice(0, 0), path)
    return int(table.num_rows)


def test_a_settled_folder_is_passed_over_until_all_files_are_counted(filled: Lake) -> None:
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    settle(dataset)
    before = catalogue.count(dataset)
    lost = written_over_in_place(dataset)
    assert catalogue.count(dataset, Look.CHANGED) == before
    assert catalogue.count(dataset).records == before.records - lost
    assert catalogue.count(dataset, Look.CHANGED).records == before.records - lost


def test_the_files_of_settled_folders_are_not_read_from_the_summary(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A market has two million of them: to read and compare them took `status` 2 s."""
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    settle(dataset)
    before = catalogue.count(dataset)
    read: list[object] = []
    really = dataset_summary.DatasetSummary.files_in
    monkeypatch.setattr(
        dataset_summary.DatasetSummary,
        "files_in",
        lambda summary, partition: read.append(partition) or really(summary, partition),
    )
    assert catalogue.count(dataset, Look.CHANGED) == before
    months = sorted({str(partition) for partition, _, _ in dataset.files()} - {str(UNDATED)})
    assert read == [months[0], months[-1]]  # for the first and the last filing date


def test_a_recent_file_written_over_in_place_is_seen_at_once_an_older_one_when_all_are_asked(
    filled: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Clock:  # type: ignore[override]
            return cls(2026, 7, 2, tzinfo=UTC)

    monkeypatch.setattr(dataset_summary, "datetime", Clock)
    dataset = filled.dataset(Generation.V1, Statement.CASH_FLOW)
    months = sorted(p for p, ticker, _ in dataset.files() if ticker == "NAN")
    settle(dataset)
    catalogue.count(dataset)
    changed = [next(m for m in months if 202500 < m < 202600), months[-1]]
    for month in changed:
        path = dataset.file(month, "NAN")
        pq.write_table(pq.ParquetFile(path).read().slice(0, 0), path)
    assert dataset_summary.unindexed(dataset, Look.CHANGED) == []
    assert [s.partition for s in dataset_summary.unindexed(dataset, Look.RECENT)] == changed[1:]
    assert [s.partition for s in dataset_summary.unindexed(dataset)] == changed
    # Once seen it stays in view, though its folder is passed over again.
    assert [s.partition for s in dataset_summary.unindexed(dataset, Look.CHANGED)] == changed


def test_a_folder_that_has_just_changed_is_not_passed_over(filled: Lake) -> None:
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    before = catalogue.count(dataset)
    lost = written_over_in_place(dataset)
    assert catalogue.count(dataset, Look.CHANGED).records == before.records - lost


def test_what_a_commit_wrote_or_someone_removed_shows_in_settled_folders(
    filled: Lake, box: Sandbox
) -> None:
    datasets = [filled.dataset(g, statement) for g in Generation for statement in Statement]
    for dataset in datasets:
        settle(dataset)
        catalogue.count(dataset)
    fill(filled, box, box.tickers[:6])
    for dataset in datasets:
        partition = next(p for p, ticker, _ in dataset.files() if ticker == "MUX")
        dataset.file(partition, "MUX").unlink()
        counts = catalogue.count(dataset, Look.CHANGED)
        assert counts == catalogue.count(dataset)
        assert {name: getattr(counts, name) for name in full_count(dataset)} == full_count(dataset)
        assert counts.tickers > 4


def test_an_unreadable_file_is_named(filled: Lake) -> None:
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    partition = next(p for p, ticker, _ in dataset.files() if ticker == "NAN")
    path = dataset.file(partition, "NAN")
    path.write_bytes(b"PAR1 nonsense")
    assert catalogue.count(dataset).unreadable == (str(path),)


@pytest.mark.parametrize(
    "damage", [(b"{", b"["), (b'"files":{', b'"files":[]}, "x":{'), (b"[", b"{")]
)
def test_a_damaged_catalogue_is_built_anew(filled: Lake, damage: tuple[bytes, bytes]) -> None:
    dataset = filled.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    before = catalogue.count(dataset)
    path = filled.ops / "cache" / f"catalogue.{dataset.name}.json"
    text = path.read_bytes()
    assert damage[0] in text
    path.write_bytes(text.replace(*damage, 1))
    assert catalogue.count(dataset) == before


def test_companies_of_both_generations(filled: Lake) -> None:
    found = catalogue.companies(filled)
    assert found["SBX.A"] == found["SBX.B"] == ["0009000001"]
    assert found["NAN"] == ["0009000002"]
    assert sorted(found) == ["MUX", "NAN", "SBX.A", "SBX.B"]
    path = filled.ops / "cache" / "companies-x.json"
    write_companies(path, found)
    assert read_companies(path) == found


def write_copies(dataset: Dataset, source: str, copies: int) -> None:
    """Copy a ticker's files and index under other names."""
    known = index.TickerIndex.loads(dataset.index_file(source).read_bytes(), dataset)
    assert known is not None
    for number in range(copies):
        ticker = f"T{number:05d}"
        made = index.TickerIndex(dict(known.rows))
        for partition, (_, _, rows) in known.files.items():
            path = dataset.file(partition, ticker)
            os.link(dataset.file(partition, source), path)
            stat = path.stat()
            made.files[partition] = (stat.st_mtime_ns, stat.st_size, rows)
        dataset.index_file(ticker).write_bytes(made.dumps(dataset))


def test_a_company_under_many_tickers_counts_its_periods_once(filled: Lake) -> None:
    dataset = filled.dataset(Generation.V2, Statement.CASH_FLOW)
    before = catalogue.count(dataset)
    write_copies(dataset, "NAN", 20)
    after = catalogue.count(dataset)
    assert after.periods == before.periods
    assert after.tickers == before.tickers + 20
