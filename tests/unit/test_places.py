"""Where a lake may be: no lake is made within another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.__main__ import main
from flows.historical_load import historical_load
from flows.refresh import refresh
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import paths
from polygon_fundamentals.places import is_lake, refuse_missing, refuse_nested, surrounding_lake
from polygon_fundamentals.settings import existing_lake_root, new_lake_root

FOLDERS = ("bronze", "bronze/fundamentals", "bronze/fundamentals/balance_sheets", "silver", "more")


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """Return a lake as it was handed over: v1's folder and nothing else."""
    lake = tmp_path / "lake"
    (lake / "bronze" / "fundamentals" / "balance_sheets").mkdir(parents=True)
    return lake


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("inside", FOLDERS)
def test_a_folder_in_a_lake_is_refused_and_the_lake_is_named(outer: Path, inside: str) -> None:
    words = f"{outer / inside} lies within the lake {outer}, and a lake cannot hold another one"
    for root in (new_lake_root, existing_lake_root):
        with pytest.raises(UsageError, match=words):
            root(str(outer / inside))


@pytest.mark.parametrize(
    "words",
    [
        ("historical-load", "--generation", "v2", "--tickers", "AAPL,MSFT"),
        ("historical-load", "--generation", "v2"),
        ("historical-load", "--generation", "v2", "--universe", "active"),
        ("fundamentals", "AAPL", "--use-v2"),
        ("daily-update", "--tickers", "AAPL"),
        ("refresh", "--tickers", "AAPL"),
        ("ratios", "--tickers", "AAPL"),
        ("inspect",),
        ("status",),
    ],
    ids=" ".join,
)
def test_no_command_makes_a_lake_in_a_lake(
    outer: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A load with QUANTLAKE_ROOT one folder too deep made a second lake, and ended with 0."""
    monkeypatch.setenv("QUANTLAKE_ROOT", str(outer / "bronze"))
    before = everything(outer)
    assert main(list(words)) == 2
    assert f"give --lake {outer}, or set QUANTLAKE_ROOT to it" in capsys.readouterr().err
    assert everything(outer) == before


def test_recordings_are_not_imported_into_a_part_of_a_lake(
    outer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "one.json"
    recording.write_text('{"results": []}')
    before = everything(outer)
    assert main(["import-v1", str(recording), "--lake", str(outer / "bronze")]) == 2
    assert f"give --lake {outer}," in capsys.readouterr().err
    assert everything(outer) == before


def test_a_run_that_a_server_starts_makes_no_lake_in_a_lake(outer: Path) -> None:
    before = everything(outer)
    for flow in (historical_load, refresh):
        state = flow.fn(tickers=["AAPL"], lake=str(outer / "bronze"))
        assert state.message.startswith(f"{outer / 'bronze'} lies within the lake {outer}")
    assert everything(outer) == before


def test_a_lake_in_a_lake_that_is_there_can_be_used(outer: Path) -> None:
    """A drill's copy is one, and so is what an earlier version made."""
    (outer / "ops" / "drill" / "1" / "bronze" / "fundamentals_v2").mkdir(parents=True)
    copy = outer / "ops" / "drill" / "1"
    assert existing_lake_root(str(copy)) == new_lake_root(str(copy)) == copy


def test_a_link_leads_into_the_lake_that_it_leads_to(outer: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.symlink_to(outer / "bronze")
    assert surrounding_lake(link) == outer.resolve()
    archive = tmp_path / "moved"
    (archive / "bronze").mkdir(parents=True)
    (archive / "bronze" / "fundamentals").symlink_to("fundamentals_v2")
    assert is_lake(archive), "a pointer that leads nowhere is still a lake's"


def test_beside_a_lake_and_in_a_folder_that_is_none_there_may_be_one(outer: Path) -> None:
    beside = outer.parent / "another"
    refuse_nested(beside)
    with pytest.raises(UsageError, match=f"there is no lake at {beside}"):
        refuse_missing(beside)


@pytest.mark.parametrize(
    "name", [paths.POINTER, paths.V1_ARCHIVE, paths.V2_FOLDER, paths.RATIOS_FOLDER]
)
def test_each_dataset_of_a_lake_makes_a_folder_one(name: str, tmp_path: Path) -> None:
    (tmp_path / "bronze" / name).mkdir(parents=True)
    assert is_lake(tmp_path)
