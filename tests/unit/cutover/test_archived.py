"""A lake whose v1 went to the archive: what readers see, what is refused, what a restore joins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.archiving import restore
from polygon_fundamentals.cutover.checksums import checksums
from polygon_fundamentals.cutover.quarantine import quarantine_foreign_files
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake import Lake, archived_rows, read
from polygon_fundamentals.lake.archived_rows import (
    archived_file,
    archived_since,
    refuse_archived,
    repeats_file,
)
from polygon_fundamentals.lake.listing import by_bucket, states
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.commands import call
from tests.builders.old_script import PLACE, append_as_the_old_script
from tests.builders.templates import copied
from tests.cutover_world import (
    at_later,
    context,
    fill,
    load_gone,
    load_later,
    run,
    v1_folder,
    v1_row,
)

BALANCES = Statement.BALANCE_SHEETS


@pytest.fixture
def switched(lake: Lake) -> Lake:
    """A lake on v2 in whose v1 stands a company that v2 lacks."""
    return copied(lake, switch)


def switch(lake: Lake) -> None:
    load_gone(fill(lake))
    assert run(lake, "cutover", checks=())["exit_code"] == 0


@pytest.fixture
def archived(lake: Lake) -> Lake:
    return copied(lake, archive)


def archive(lake: Lake) -> None:
    switch(lake)
    assert archived_since(lake) is None
    refuse_archived(lake)
    assert run(lake, "cleanup", checks=())["exit_code"] == 0


def assets(lake: Lake) -> list[tuple[str, str, float]]:
    """Return ticker, period and total assets of v1's records."""
    rows = read_dataset(lake.dataset(Generation.V1, BALANCES)).to_pylist()
    found = [(r["ticker"], str(r["end_date"]), r["balance_sheet.assets"]) for r in rows]
    return sorted(found)


BEFORE = [
    ("AAA", "2025-03-31", 1000.0),
    ("AAA", "2025-06-30", 1001.0),
    ("AAA", "2025-09-30", 1002.0),
    ("BBB", "2025-03-31", 2000.0),
    ("BBB", "2025-06-30", 2001.0),
    ("BBB", "2025-09-30", 2002.0),
    ("GONE", "2025-03-31", 5.0),
    ("GONE", "2025-06-30", 5.0),
    ("GONE", "2025-09-30", 5.0),
]
JOINED = [
    ("AAA", "2025-03-31", 7.0),
    *BEFORE[1:3],
    ("AAA", "2025-12-31", 7.0),
    *BEFORE[3:],
]


def test_records_loaded_after_a_cleanup_stand_beside_those_before(archived: Lake) -> None:
    assert assets(archived) == BEFORE
    load_later(archived)
    assert assets(archived) == JOINED
    found = silver.wide_table(archived, Generation.V2).to_pylist()
    ends = {(r["ticker"], str(r["period_end"])) for r in found if r["generation"] == "v1"}
    assert ends == {
        ("GONE", "2025-03-31"),
        ("GONE", "2025-06-30"),
        ("GONE", "2025-09-30"),
        ("AAA", "2025-12-31"),
    }


def known(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    """Return what was known from when to when, of either generation as the primary one."""
    return {g.value: silver.history_table(lake, g).to_pylist() for g in Generation}


@pytest.mark.slow
def test_a_cleanup_changes_nothing_of_what_was_known_before(lake: Lake) -> None:
    fill(lake)
    # An older tool left an original beside its amendment.
    for month, filed, value in (("05", "2024-05-01", 100.0), ("06", "2024-06-10", 110.0)):
        row = v1_row("0000000003", "OLD", ("2024-03-31", filed, 1), value)
        path = lake.bronze / f"fundamentals/{BALANCES}/year=2024/month={month}/ticker=OLD.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row]), path)
    before = known(lake)
    old = [row for row in before["v2"] if row["ticker"] == "OLD"]
    versions = [(r["bs_total_assets"], str(r["known_from"]), str(r["known_to"])) for r in old]
    assert versions == [(100.0, "2024-05-01", "2024-06-10"), (110.0, "2024-06-10", "None")]
    assert run(lake, "cutover", checks=())["exit_code"] == 0
    files = checksums(v1_folder(lake)), checksums(lake.ops / "revisions")
    assert run(lake, "cleanup", checks=())["exit_code"] == 0
    assert not v1_folder(lake).exists()
    assert known(lake) == before
    assert verify(lake).problems == ()
    repeats = repeats_file(lake.dataset(Generation.V1, BALANCES))
    repeats.write_bytes(repeats.read_bytes()[:20])
    assert [p.file for p in verify(lake).problems] == [str(repeats.relative_to(lake.root))]
    with pytest.raises(DamagedFileError, match=f"{repeats} cannot be read"):
        known(lake)
    assert run(lake, "restore", checks=())["exit_code"] == 0
    assert known(lake) == before
    assert (checksums(v1_folder(lake)), checksums(lake.ops / "revisions")) == files
    assert list((lake.ops / "kept").iterdir()) == []


def test_an_archive_of_an_earlier_version_has_no_rows_beside_others(archived: Lake) -> None:
    before = known(archived)
    for statement in Statement:
        repeats_file(archived.dataset(Generation.V1, statement)).unlink()
    assert known(archived) == before


def test_nothing_is_written_to_an_archived_v1(archived: Lake) -> None:
    with pytest.raises(LakeError, match=r"v1 is in the archive .* restore --execute"):
        refuse_archived(archived)
    append_as_the_old_script(archived.pointer / PLACE)
    (found,) = quarantine_foreign_files(archived)
    assert (found.v1_rows, v1_folder(archived).exists()) == (0, False)
    load_later(archived)
    append_as_the_old_script(archived.pointer / PLACE)
    (found,) = quarantine_foreign_files(archived)
    assert found.v1_rows == 0
    assert (archived.root / found.quarantined_as).exists()
    assert assets(archived) == JOINED


def test_what_was_loaded_after_a_cleanup_is_neither_archived_alone_nor_shown_alone(
    archived: Lake,
) -> None:
    load_later(archived)
    with pytest.raises(LakeError, match=r"was archived before.*restore --execute`, then run"):
        run(archived, "cleanup", checks=())
    with pytest.raises(LakeError, match=r"only what was loaded since; join the two"):
        run(archived, "rollback", checks=())
    assert assets(archived) == JOINED


def test_a_restore_joins_what_was_loaded_after_the_cleanup(archived: Lake) -> None:
    (tar,) = (archived.root / "archive").glob("*.tar.zst")
    alone = Lake(shutil.copytree(archived.root, archived.root.with_name("alone"), symlinks=True))
    assert run(alone, "restore", checks=())["exit_code"] == 0
    assert assets(alone) == BEFORE
    before = checksums(v1_folder(alone))
    load_later(archived)
    found = run(archived, "restore", checks=())
    assert (found["exit_code"], found["archive"]) == (0, tar.name)
    details = {step["name"]: step["detail"] for step in found["steps"]}
    assert details["join later loads"] == "6 records that were loaded after the cleanup"
    assert assets(archived) == JOINED
    after = checksums(v1_folder(archived))
    changed = {name for name in before if after.get(name) != before[name]}
    assert {name.split("/", 1)[1] for name in changed} == {"year=2025/month=05/ticker=AAA.parquet"}
    assert archived_since(archived) is None
    assert [p.name for p in archived.bronze.iterdir() if p.name.startswith(".fund")] == []
    # What stood under the corrected record is a revision now, and a load goes on from there.
    refuse_archived(archived)
    load_later(archived)
    assert assets(archived) == JOINED
    assert "is in" in run(archived, "restore", checks=())["message"]
    assert run(archived, "cleanup", checks=(), clock=at_later(201))["exit_code"] == 0
    assert assets(archived) == JOINED


def test_a_join_that_fails_is_done_by_the_next_call(archived: Lake) -> None:
    load_later(archived)
    damaged = next(v1_folder(archived).rglob("*.parquet"))
    whole = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    found = run(archived, "restore", checks=())
    assert (found["exit_code"], found["state"]) == (4, "open")
    assert "cannot be read" in found["message"]
    assert BEFORE[3:] == assets(archived)[-6:]
    place = damaged.relative_to(v1_folder(archived))
    (archived.bronze / ".fundamentals_v1_later" / place).write_bytes(whole)
    assert run(archived, "restore", checks=())["exit_code"] == 0
    assert assets(archived) == JOINED


def test_of_two_archives_without_a_restore_between_none_is_taken_unasked(archived: Lake) -> None:
    first = journals.last_done(archived, "cleanup")
    assert first is not None
    facts = {"archive": "fundamentals_v1_20990101.tar.zst", "data": True}
    second = journals.Journal.begin(archived, "cleanup", {}, at_later(300), facts)
    second.close(journals.DONE, "done")
    with pytest.raises(LakeError, match=rf"2 times.*--archive {first.facts['archive']}"):
        run(archived, "restore", checks=())
    found = restore(archived, context(archived), first.facts["archive"])
    assert found.exit_code == 0
    assert assets(archived) == BEFORE


@pytest.mark.parametrize("operation", ["cleanup", "restore"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_cleanup_or_restore_beside_a_reader_costs_no_row(
    switched: Lake, monkeypatch: pytest.MonkeyPatch, operation: str, listed: bool
) -> None:
    dataset = switched.dataset(Generation.V1, BALANCES)
    if operation == "restore":
        assert run(switched, "cleanup", checks=())["exit_code"] == 0
    shown = by_bucket(states(dataset)) if listed else None
    real: Callable[..., Any] = read._read
    done: list[object] = []

    def meanwhile(*words: Any) -> pa.Table:
        if not done:
            done.append(operation)
            with monkeypatch.context() as other:
                other.setattr(read, "_read", real)
                assert run(switched, operation, checks=())["exit_code"] == 0
            shutil.rmtree(switched.ops / "cache")
        return real(*words)

    monkeypatch.setattr(read, "_read", meanwhile)
    assert read_dataset(dataset, shown=shown).num_rows == 9
    assert done


def test_kept_records_that_go_while_they_are_opened_are_none(
    archived: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = archived.dataset(Generation.V1, BALANCES)
    assert archived_rows.read_archived(dataset, ["GONE"], ["ticker"]).num_rows == 3  # type: ignore[union-attr]
    archived_file(dataset).unlink()
    monkeypatch.setattr(archived_rows, "is_archived", lambda _: True)
    assert archived_rows.read_archived(dataset) is None


def test_a_company_of_both_is_exported_after_a_cleanup(archived: Lake) -> None:
    words = ["--shape", "v1", "--statement", "balance_sheets", "--ticker", "AAA"]
    code, answer = call("export", *words, "--lake", str(archived.root))
    assert code == 0, answer
    assert answer["count"] == 3
