"""Tickers as file names, partitions, and where the generations are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.file_names import partition_folder, ticker_file_name, ticker_of_file
from polygon_fundamentals.statements import Generation


@pytest.mark.parametrize(
    ("ticker", "name"),
    [
        ("AAPL", "ticker=AAPL.parquet"),
        ("BRK.B", "ticker=BRK.B.parquet"),
        ("BACpB", "ticker=BACpB.parquet"),
        ("BRK/A", "ticker=BRK%2FA.parquet"),
        ("../../x", "ticker=..%2F..%2Fx.parquet"),
        ("CON", "ticker=CON.parquet"),
        ("NAN", "ticker=NAN.parquet"),
        ("TRUE", "ticker=TRUE.parquet"),
        ("A%2F", "ticker=A%252F.parquet"),
        ("A B", "ticker=A%20B.parquet"),
    ],
)
def test_names_are_safe_and_the_common_ones_unchanged(ticker: str, name: str) -> None:
    assert ticker_file_name(ticker) == name
    assert ticker_of_file(name) == ticker


@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2, unique=True))
def test_names_are_reversible_and_distinct(tickers: list[str]) -> None:
    try:
        names = [ticker_file_name(ticker) for ticker in tickers]
    except (UsageError, UnicodeEncodeError):
        return
    assert [ticker_of_file(name) for name in names] == tickers
    assert names[0] != names[1]
    assert all("/" not in name and name == Path(name).name for name in names)


@pytest.mark.parametrize("ticker", ["", "X" * 201])
def test_what_cannot_be_a_ticker_is_refused(ticker: str) -> None:
    with pytest.raises(UsageError, match="is not a ticker"):
        ticker_file_name(ticker)


def test_other_files_are_no_tickers() -> None:
    assert ticker_of_file("AAPL.parquet") is None
    assert ticker_of_file(".ticker=AAPL.parquet.tmp") is None


def test_partitions() -> None:
    assert partition_folder(202405) == "year=2024/month=05"
    assert partition_folder(190001) == "year=1900/month=01"


def test_the_pointer_says_which_generation_is_primary(lake: Lake) -> None:
    assert lake.primary is Generation.V1
    assert lake.generation_folder(Generation.V1) == lake.bronze / "fundamentals"
    lake.pointer.symlink_to("fundamentals_v2")
    assert lake.primary is Generation.V2
    assert lake.generation_folder(Generation.V1) == lake.bronze / "fundamentals_v1_archive"
    lake.pointer.unlink()
    lake.pointer.symlink_to("fundamentals_v1_archive")
    assert lake.primary is Generation.V1
    lake.pointer.unlink()
    lake.pointer.symlink_to("elsewhere")
    with pytest.raises(LakeError, match="which is not a folder of this lake"):
        _ = lake.primary


def test_a_lake_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="is a file, or is below one"):
            Lake(path).prepare()
    assert (tmp_path / "file").read_text() == "x"


def test_a_lake_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        Lake(Path("/proc/lake")).prepare()


def test_a_lake_may_be_prepared_by_many_at_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with ThreadPoolExecutor(8) as threads:
        for prepared in [threads.submit(lake.prepare) for _ in range(400)]:
            prepared.result()
    assert list((lake.ops / "locks").iterdir()) == []
