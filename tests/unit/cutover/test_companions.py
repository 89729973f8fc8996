"""What lies beside the statements in `bronze/fundamentals`: never hidden, moved away or removed."""

from __future__ import annotations

import os
import subprocess
import sys

import orjson
import pytest

from flows.__main__ import main
from polygon_fundamentals.cutover import companions
from polygon_fundamentals.cutover.archiving import plan_of_cleanup
from polygon_fundamentals.cutover.checklist import Checklist, evaluate_checklist
from polygon_fundamentals.cutover.drill import drill
from polygon_fundamentals.cutover.operations import plan_of_cutover
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.cutover.sign_offs import Contacts
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import Lake, probe
from tests.cutover_world import LATER, QUICK, TODAY, at_later, context, fill, run

FILES = {
    "short_interest/ticker=AAA/data.parquet": b"short interest",
    "short_volume/year=2025/all.parquet": b"short volume",
    "financial_ratios/ratios.csv": b"ticker,pe\nAAA,12\n",
    "README.txt": b"written by hand",
}
NAMES = ("README.txt", "financial_ratios", "short_interest", "short_volume")


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """A lake of both generations as an older tool leaves it, with other data beside v1's."""
    fill(lake)
    for name, data in FILES.items():
        path = lake.pointer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return lake


def read(lake: Lake) -> dict[str, bytes]:
    return {name: (lake.pointer / name).read_bytes() for name in FILES}


READER = """
import sys, pathlib
root = pathlib.Path(sys.argv[1])
names = sys.argv[2:]
print("ready", flush=True)
reads = failures = 0
while not (root / "stop").exists():
    for name in names:
        try:
            assert (root / "bronze" / "fundamentals" / name).read_bytes()
        except Exception as error:
            failures += 1
            print(name, repr(error), file=sys.stderr, flush=True)
        reads += 1
    for folder in ("short_interest", "short_volume"):
        try:
            assert list((root / "bronze" / "fundamentals" / folder).rglob("*.parquet"))
        except Exception as error:
            failures += 1
            print(folder, repr(error), file=sys.stderr, flush=True)
print(reads, failures, flush=True)
"""


@pytest.mark.slow
def test_a_reader_sees_it_in_every_moment_of_twenty_switches_and_a_cleanup(filled: Lake) -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", READER, str(filled.root), *FILES],
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for _ in range(20):
            assert run(filled, "cutover", checks=())["exit_code"] == 0
            assert read(filled) == FILES
            assert run(filled, "rollback", checks=())["exit_code"] == 0
            assert read(filled) == FILES
        for operation in ("cutover", "cleanup", "restore", "rollback", "cutover"):
            assert run(filled, operation, checks=())["exit_code"] == 0, operation
            assert read(filled) == FILES
        (filled.root / "stop").touch()
        reads, failures = reader.stdout.readline().split()
    assert int(reads) > 100
    assert int(failures) == 0


def test_cleanup_leaves_it_alone_and_names_it(filled: Lake) -> None:
    inodes = {name: (filled.pointer / name).stat().st_ino for name in FILES}
    over = run(filled, "cutover", checks=())
    (step,) = [s for s in over["steps"] if s["name"] == "keep other data"]
    assert step["detail"] == f"reachable as before: {', '.join(NAMES)}"
    words = f"(left alone, at the same path: {', '.join(NAMES)})"
    assert words in plan_of_cleanup(filled, Retention(), at_later(LATER)())
    assert run(filled, "cleanup", checks=())["exit_code"] == 0
    assert not (filled.bronze / "fundamentals_v1_archive").exists()
    assert {name: (filled.pointer / name).stat().st_ino for name in FILES} == inodes
    (path,) = (filled.root / "archive").glob("*.manifest.json")
    manifest = orjson.loads(path.read_bytes())
    assert manifest["companions"] == list(NAMES)
    assert not [name for name in manifest["files"] if name.split("/")[0] in NAMES]
    assert run(filled, "restore", checks=())["exit_code"] == 0
    assert run(filled, "rollback", checks=())["exit_code"] == 0
    assert read(filled) == FILES
    assert {name: (filled.pointer / name).stat().st_ino for name in FILES} == inodes


def test_what_an_old_job_writes_after_the_cutover_stands_at_its_path_too(filled: Lake) -> None:
    assert run(filled, "cutover", checks=())["exit_code"] == 0
    (filled.pointer / "short_volume" / "new.parquet").write_bytes(b"new")
    (filled.pointer / "borrow_rates").mkdir()
    (filled.pointer / "borrow_rates" / "new.parquet").write_bytes(b"new")
    for operation in ("rollback", "cutover", "cleanup", "restore", "rollback"):
        assert run(filled, operation, checks=())["exit_code"] == 0
        assert read(filled) == FILES
        for folder in ("short_volume", "borrow_rates"):
            assert (filled.pointer / folder / "new.parquet").read_bytes() == b"new", operation


def test_plan_drill_and_checklist_name_it(filled: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cutover", "--lake", str(filled.root)]) == 0
    assert f"stays at its path, unchanged: {', '.join(NAMES)}" in capsys.readouterr().out
    report = drill(filled, context(filled, checks=()), TODAY)
    assert (report.passed, report.companions) == (True, NAMES)
    items = {i.name: i for i in evaluate_checklist(filled, Thresholds(), Contacts()).items}
    assert items["other data"].ok is True
    assert items["other data"].detail == f"stays reachable at its path: {', '.join(NAMES)}"


def test_one_path_for_two_entries_is_refused_before_anything_moves(filled: Lake) -> None:
    second = filled.bronze / "fundamentals_v2" / "short_interest"
    second.mkdir()
    words = r"short_interest and .*short_interest both exist \(1 such names\)"
    with pytest.raises(LakeError, match=words):
        plan_of_cutover(filled, Checklist(), context(filled), QUICK)
    with pytest.raises(LakeError, match=words):
        run(filled, "cutover", checks=())
    assert not filled.pointer.is_symlink()
    items = {i.name: i for i in evaluate_checklist(filled, Thresholds(), Contacts()).items}
    assert items["other data"].ok is False
    second.rmdir()
    assert run(filled, "cutover", checks=())["exit_code"] == 0


def test_a_cutover_that_fails_leaves_no_link(filled: Lake) -> None:
    def fail(name: str) -> None:
        if name == "done move pointer":
            raise OSError(5, "Input/output error")

    report = run(filled, "cutover", checks=(), on_reached=fail)
    assert (report["exit_code"], report["state"]) == (4, "undone")
    assert read(filled) == FILES
    assert set(NAMES).isdisjoint(os.listdir(filled.bronze / "fundamentals_v2"))


def test_a_link_to_v1s_own_data_stops_the_cleanup(filled: Lake) -> None:
    (filled.pointer / "alias").symlink_to("balance_sheets")
    assert run(filled, "cutover", checks=())["exit_code"] == 0
    assert (filled.pointer / "alias").is_dir()
    with pytest.raises(LakeError, match=r"alias is a link to v1's own data \(balance_sheets\)"):
        run(filled, "cleanup", checks=())


def test_a_name_that_is_no_text_is_kept_too(filled: Lake) -> None:
    odd = os.fsdecode(b"odd\xff")
    (filled.pointer / odd).write_bytes(b"odd")
    for operation in ("cutover", "cleanup"):
        assert run(filled, operation, checks=())["exit_code"] == 0
        assert (filled.pointer / odd).read_bytes() == b"odd"
    assert "odd\\xff" in companions.shown(filled)


def test_without_the_exchange_two_renames_do(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(filled, "cutover", checks=())["exit_code"] == 0

    def no_exchange(*_: object) -> None:
        raise probe.NoExchangeError("no such call")

    monkeypatch.setattr(probe, "exchange", no_exchange)
    assert run(filled, "cleanup", checks=())["exit_code"] == 0
    assert read(filled) == FILES
