"""`verify`: every kind of damage is found and named, and nothing that is whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import orjson
import pytest

from flows.__main__ import main
from polygon_fundamentals import silver
from polygon_fundamentals.cutover import checksums
from polygon_fundamentals.cutover.verify import VerifyReport, verify
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.damage import flip_a_bit
from tests.builders.old_script import PLACE, append_as_the_old_script
from tests.builders.templates import copied
from tests.cutover_world import fill, load_later, run

BALANCES = Statement.BALANCE_SHEETS


@pytest.fixture
def filled(lake: Lake) -> Lake:
    return copied(lake, fill_and_load_later)


def fill_and_load_later(lake: Lake) -> None:
    load_later(fill(lake))


@pytest.fixture
def built(lake: Lake) -> Lake:
    return copied(lake, fill_and_build)


def fill_and_build(lake: Lake) -> None:
    fill_and_load_later(lake)
    silver.build(lake)


def a_file(lake: Lake, generation: Generation = Generation.V2) -> Path:
    return sorted(lake.dataset(generation, BALANCES).folder.rglob("*.parquet"))[0]


def without_checksums(lake: Lake) -> None:
    """Make the index what earlier versions wrote: without the checksums of the files."""
    for path in (lake.ops / "index").rglob("ticker=*.json"):
        entry = orjson.loads(path.read_bytes())
        del entry["checksums"], entry["own"]
        path.write_bytes(orjson.dumps(entry))


def problems(report: VerifyReport) -> list[tuple[str, str]]:
    assert report.exit_code == (4 if report.problems else 0)
    return [(Path(p.file).name, p.reason) for p in report.problems]


@pytest.mark.parametrize("earlier", [False, True])
def test_a_whole_lake_is_as_recorded(built: Lake, earlier: bool) -> None:
    if earlier:
        without_checksums(built)
    checksums.record(built)
    report = verify(built)
    assert problems(report) == []
    # 18 files of v2; 21 of v1, whose checksums are recorded too; revisions; silver.
    assert report.files > 18 + 2 * 21
    assert {step.ok for step in report.steps} == {True}
    names = [step.name for step in report.steps]
    assert {"v2.cash_flow", "revisions of v1.cash_flow", "silver"} < set(names)
    assert "v1's recorded checksums" in names


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("generation", list(Generation))
def test_a_flipped_bit_is_found(filled: Lake, generation: Generation, earlier: bool) -> None:
    if earlier:
        without_checksums(filled)
    victim = a_file(filled, generation)
    # Without a checksum of the bytes, only a bit that a value depends on can be found.
    flip_a_bit(victim, 8 if earlier else None)
    ((name, reason),) = problems(verify(filled))
    assert name == victim.name
    assert reason.startswith(("cannot be read", "1 of 1 rows differ", "its rows are as recorded"))


@pytest.mark.parametrize(
    ("generation", "name"), [(Generation.V2, b"intangible_assets_net"), (Generation.V1, b"unit")]
)
@pytest.mark.parametrize("bit", [0x01, 0x80])  # another letter; no text of UTF-8
def test_a_flipped_bit_in_a_columns_name_is_found(
    filled: Lake, generation: Generation, name: bytes, bit: int
) -> None:
    # Where the column is empty, no row differs afterwards.
    without_checksums(filled)
    victim = a_file(filled, generation)
    data = victim.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    flip_a_bit(victim, data.index(name, footer), bit)
    ((file, reason),) = problems(verify(filled))
    assert file == victim.name
    assert reason.startswith("cannot be read (")
    assert ("it has our mark, but " in reason) == (bit == 0x01)


def test_bytes_that_changed_beside_the_values_are_found(filled: Lake) -> None:
    victim = a_file(filled)
    stat = victim.stat()
    # The footer's own text: no value depends on it.
    data = victim.read_bytes()
    place = data.rindex(b"parquet") if b"parquet" in data else data.rindex(b"arrow")
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    victim.write_bytes(changed)
    os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    ((_, reason),) = problems(verify(filled))
    assert reason == "its rows are as recorded, but its bytes are not"


def test_a_missing_file_and_one_of_nobodys_are_told_apart(filled: Lake) -> None:
    first = a_file(filled)
    other = first.with_name("ticker=NEW.parquet")
    shutil.copy2(first, other)
    first.unlink()
    report = verify(filled)
    assert problems(report) == [(first.name, "is missing")]
    other_part = [step for step in report.steps if step.name == "v2.balance_sheets"]
    assert [step.ok for step in other_part] == [False]
    shutil.move(other, first.with_name(first.name))
    report = verify(filled)
    assert report.exit_code == 0


def test_what_is_not_recorded_is_not_judged(filled: Lake) -> None:
    shutil.rmtree(filled.ops / "index")
    report = verify(filled)
    assert report.exit_code == 0
    judged = {step.name: step.ok for step in report.steps}
    assert judged["v2.cash_flow"] is None
    (line,) = [step for step in report.steps if step.name == "v2.cash_flow"]
    assert line.detail == "6 files; nothing is recorded for 6 of them"


def test_what_an_old_script_wrote_through_the_pointer_is_found(filled: Lake) -> None:
    assert run(filled, "cutover", checks=())["exit_code"] == 0
    append_as_the_old_script(filled.pointer / PLACE)
    ((name, reason),) = problems(verify(filled))
    assert name == Path(PLACE).name
    assert reason.endswith("and something else wrote it since") or "cannot be read" in reason


def test_a_copy_of_the_lake_is_as_recorded_whatever_its_times(filled: Lake, tmp_path: Path) -> None:
    shutil.copytree(filled.root, tmp_path / "copy", copy_function=shutil.copy)
    assert problems(verify(Lake(tmp_path / "copy"))) == []


def test_what_a_load_wrote_after_the_checksums_is_no_damage(lake: Lake) -> None:
    checksums.record(fill(lake))
    load_later(lake)
    report = verify(lake)
    assert problems(report) == []
    step = next(step for step in report.steps if step.name == "v1's recorded checksums")
    assert step.ok is None
    assert "6 since they were recorded" in step.detail
    assert "checklist --record-checksums" in step.remedy


@pytest.mark.parametrize("kind", ["silver", "silver's history", "revisions", "v1"])
def test_damage_elsewhere_is_found(built: Lake, kind: str) -> None:
    checksums.record(built)
    victim = {
        "silver": lambda: next((built.silver / "builds").glob("*/*/part-*.parquet")),
        "silver's history": lambda: next((built.silver / "history").glob("*/*/part-*.parquet")),
        "revisions": lambda: next((built.ops / "revisions").rglob("*.parquet")),
        "v1": lambda: a_file(built, Generation.V1),
    }[kind]()
    if kind == "revisions":
        victim.write_bytes(victim.read_bytes()[:-10])
    else:
        flip_a_bit(victim)
    assert {name for name, _ in problems(verify(built))} == {victim.name}


def test_damage_of_an_archive_is_found(filled: Lake) -> None:
    for operation in ("cutover", "cleanup"):
        assert run(filled, operation, checks=())["exit_code"] == 0
    (archive,) = (filled.root / "archive").glob("*.tar.zst")
    flip_a_bit(archive)
    assert {name for name, _ in problems(verify(filled))} == {archive.name}


def test_missing_files_of_silver_are_found(built: Lake, tmp_path: Path) -> None:
    build = silver.table_path(built)
    for files in ("year=*/part-*", "_history/initial=*/part-*", "_history"):
        victim = next(build.glob(files))
        victim.rename(tmp_path / "gone")
        ((name, reason),) = problems(verify(built))
        assert name == build.name
        assert reason.endswith("; the others are missing")
        (tmp_path / "gone").rename(victim)
    assert verify(built).exit_code == 0
    note = build / "_build.json"
    note.write_text("{")
    ((name, reason),) = problems(verify(built))
    assert name == "fundamentals_wide"
    assert reason.startswith(f"{note} cannot be read; remove the link fundamentals_wide")


def test_the_command_lists_what_is_damaged_and_exits_with_4(
    filled: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--lake", str(filled.root)]) == 0
    assert "files, none of them damaged" in capsys.readouterr().out
    victim = a_file(filled)
    flip_a_bit(victim)
    assert main(["verify", "--lake", str(filled.root)]) == 4
    shown = capsys.readouterr().out
    assert "NO  v2.balance_sheets: 1 of 6 files are not as recorded" in shown
    assert f"\n{victim.relative_to(filled.root)}: " in shown
    assert main(["verify", "--lake", str(filled.root), "--json"]) == 4
    entry = json.loads(capsys.readouterr().out)
    assert [p["file"] for p in entry["problems"]] == [str(victim.relative_to(filled.root))]
    (ledger, *_) = sorted((filled.ops / "runs").glob("*-verify-*.json"))
    assert orjson.loads(ledger.read_bytes())["outcome"] == "succeeded"
