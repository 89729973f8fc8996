"""A flipped bit of a file under `ops/`: what is derived is made anew, what is not is named."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.cutover import checksums
from polygon_fundamentals.cutover.journal import Journal, journals
from polygon_fundamentals.cutover.sign_offs import Contacts, Person, sign
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.http.rate_limit import FileRateLimit
from polygon_fundamentals.lake import Lake, catalogue, codec, index, revisions, their_form
from polygon_fundamentals.lake.archived_rows import archived_file, read_archived, write_archived
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.recovery import recover
from polygon_fundamentals.ledger import read_entries
from polygon_fundamentals.publish.sources import TableSource, silver_tables
from polygon_fundamentals.silver.versions import superseded
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import shelf_file
from tests.builders.ledger import entry
from tests.cutover_world import fill

FLIPS = 40
both = pytest.mark.parametrize("generation", list(Generation))


@contextmanager
def flipped(path: Path, draws: random.Random) -> Iterator[int]:
    """Flip a drawn bit of a file; put the file back afterwards, alone in its folder's pattern."""
    data = path.read_bytes()
    place = draws.randrange(len(data) * 8)
    rotten = bytearray(data)
    rotten[place // 8] ^= 1 << place % 8
    path.write_bytes(rotten)
    yield place
    for other in path.parent.glob(f"*{path.suffix}"):
        if other.name[:1].isdigit():  # a part of the cache that was written in its place
            other.unlink()
    path.write_bytes(data)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    return fill(lake)


def with_revisions(dataset: Dataset) -> Path:
    """Make revisions of a ticker out of its rows."""
    path = next(dataset.folder.rglob("ticker=AAA.parquet"))
    rows, _ = codec.read(path, dataset, "AAA")
    events = [revisions.SUPERSEDED] * rows.num_rows
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    revisions.append(dataset, "AAA", revisions.as_revisions(rows, events, moment))
    return dataset.revisions_file("AAA")


def in_order(rows: pa.Table) -> pa.Table:
    return rows.sort_by([("ticker", "ascending"), ("partition", "ascending")])


# Each flip has the bucket read anew from its files, which is what takes the time.
@pytest.mark.parametrize("flips", [FLIPS // 2, pytest.param(3 * FLIPS, marks=pytest.mark.slow)])
@both
def test_what_is_derived_never_changes_what_is_read(
    filled: Lake, generation: Generation, flips: int
) -> None:
    dataset = filled.dataset(generation, Statement.BALANCE_SHEETS)
    with_revisions(dataset)
    reads: list[tuple[str, Callable[[], pa.Table]]] = [
        (f"{dataset.name}.*/[0-9]*.parquet", lambda: in_order(read_dataset(dataset))),
        (f"{dataset.name}.revisions.parquet", lambda: superseded(dataset)),
    ]
    for pattern, read in reads:
        truth, draws = read(), random.Random(7)
        assert truth.num_rows
        (path, *_) = sorted((filled.ops / "cache").glob(pattern))
        for _ in range(flips):
            with flipped(path, draws) as place:
                assert read().equals(truth), f"bit {place} of {path.name}"


@both
def test_what_is_not_derived_is_read_as_it_was_or_named(
    filled: Lake, generation: Generation
) -> None:
    dataset = filled.dataset(generation, Statement.BALANCE_SHEETS)
    revised = with_revisions(dataset)
    write_archived(dataset, read_dataset(dataset))
    reads: list[tuple[Path, Callable[[], pa.Table | None]]] = [
        (revised, lambda: revisions.read(dataset, "AAA")),
        (archived_file(dataset), lambda: read_archived(dataset)),
    ]
    for path, read in reads:
        truth, draws, named = read(), random.Random(7), 0
        assert truth is not None
        assert truth.num_rows
        for _ in range(FLIPS):
            with flipped(path, draws) as place:
                try:
                    rows = read()
                except DamagedFileError as error:
                    named += str(path) in str(error)
                else:
                    assert truth.equals(rows), f"bit {place} of {path.name}"
        # The others are of a footer's parts that nobody reads.
        assert named > FLIPS / 3


def test_a_flipped_bit_in_the_name_of_a_line_of_revisions_is_named(filled: Lake) -> None:
    """The campaign, seed 582002: the values of that line counted as absent."""
    dataset = filled.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    path = with_revisions(dataset)
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    place = data.index(b"liabilities_and_equity", footer)  # the schema comes first in it
    path.write_bytes(data[:place] + b"m" + data[place + 1 :])
    with pytest.raises(DamagedFileError, match=r"no column financials\.balance_sheet\.m"):
        revisions.read(dataset, "AAA")
    assert [problem.file for problem in verify(filled).problems] == [
        str(path.relative_to(filled.root))
    ]


@both
def test_an_index_of_which_a_bit_was_flipped_is_made_anew(
    filled: Lake, generation: Generation
) -> None:
    """It says where each row is: a row that it put elsewhere was lost with the next change."""
    dataset = filled.dataset(generation, Statement.BALANCE_SHEETS)
    truth = index.load(dataset, "AAA", set())
    path, draws = dataset.index_file("AAA"), random.Random(7)
    for _ in range(FLIPS):
        with flipped(path, draws) as place:
            again = index.load(dataset, "AAA", set())
            assert (again.rows, again.files) == (truth.rows, truth.files), f"bit {place}"


@both
def test_a_summary_of_which_a_bit_was_flipped_is_made_anew(
    filled: Lake, generation: Generation
) -> None:
    dataset = filled.dataset(generation, Statement.BALANCE_SHEETS)
    truth = catalogue.count(dataset)
    path, draws = filled.ops / "cache" / f"catalogue.{dataset.name}.json", random.Random(7)
    for _ in range(FLIPS):
        with flipped(path, draws) as place:
            assert catalogue.count(dataset) == truth, f"bit {place}"


def _wide(build: silver.Build) -> TableSource:
    return next(iter(silver_tables(build)))


def test_rot_in_silver_is_not_published_and_not_carried_into_the_next_build(filled: Lake) -> None:
    build = silver.build(filled)
    (path, *_) = sorted(build.path.glob("year=*/part-*.parquet"))
    with flipped(path, random.Random(7)):
        source = _wide(build)
        with pytest.raises(DamagedFileError, match=f"{path.name} is not what its name says"):
            source.rows(list(source.digests))
        again = silver.build(filled)
        assert again.path != build.path
        assert verify(filled).problems[0].file.endswith(path.name)
        good = _wide(again)
        assert sum(batch.num_rows for batch in good.rows(list(good.digests))) == build.rows


def test_the_form_of_v1s_files_is_never_guessed(filled: Lake) -> None:
    dataset = filled.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    assert their_form.keeps_form(dataset) is False
    path = their_form.form_file(filled)
    for text in ('{"form":"nurs"}', "{", '{"norm":"ours"}', "[]"):
        path.write_text(text)
        with pytest.raises(DamagedFileError, match=f"{path} does not say which form"):
            their_form.keeps_form(dataset)


def test_a_shelf_of_which_a_bit_was_flipped_is_no_shelf(tmp_path: Path) -> None:
    record = shelf_file.Record(
        *("0000000001", "AAA Inc", "", ("AAA",), ("AAA",), "2024-03-31", "2024-05-02"),
        *("quarterly", "Q1", "", "v1", b"body", b"sourced"),
    )
    shelf = shelf_file.Shelf({"AAA": "a digest"}, ("0000000001",), (record,))
    path, draws = tmp_path / "AAA.shelf", random.Random(7)
    path.write_bytes(shelf_file.dump(shelf))
    whole = shelf_file.load(path)
    assert whole is not None
    assert whole.records == shelf.records
    for _ in range(FLIPS):
        with flipped(path, draws):
            assert shelf_file.load(path) is None


@pytest.mark.parametrize("text", [b"{", b'{"AAA\xf0": [202505]}', b"[1]", b'{"AAA": "x"}'])
def test_a_note_of_unfinished_work_that_cannot_be_read_stops_nothing(
    filled: Lake, text: bytes
) -> None:
    dataset = filled.dataset(Generation.V2, Statement.BALANCE_SHEETS)
    note = filled.ops / "unfinished" / f"{dataset.name}.{bucket_of('AAA'):02d}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(text)
    assert recover(filled) == [note.stem]
    assert not note.exists()


@pytest.mark.parametrize("text", [b"{", b'{"a\xf0": 1}', b"[]"])
def test_checksums_that_cannot_be_read_are_named(filled: Lake, text: bytes) -> None:
    checksums.record(filled)
    (path,) = filled.ops.rglob("*checksums*.json")
    path.write_bytes(text)
    with pytest.raises(DamagedFileError, match="holds no checksums"):
        verify(filled)


def test_the_order_of_journals_does_not_depend_on_a_clock_that_was_set_back(lake: Lake) -> None:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    first = Journal.begin(lake, "cleanup", {}, clock=lambda: moment + timedelta(days=1))
    second = Journal.begin(lake, "restore", {}, clock=lambda: moment)
    assert [journal.id for journal in journals(lake)] == [first.id, second.id]


@pytest.mark.parametrize(("member", "word"), [("state", "dune"), ("operation", "cutovep")])
def test_a_journal_with_a_word_that_is_none_is_named(lake: Lake, member: str, word: str) -> None:
    journal = Journal.begin(lake, "cutover", {})
    content = orjson.loads(journal.path.read_bytes())
    journal.path.write_bytes(orjson.dumps({**content, member: word}))
    with pytest.raises(DamagedFileError, match=f"{word!r} is not one of "):
        journals(lake)


def test_an_entry_of_the_ledger_with_a_day_that_is_none_counts_as_unreadable(lake: Lake) -> None:
    report = {"ok": True, "failed": [], "seconds": 1.0, "rows_received": 1}
    good, bad = ({"from": "2026-11-01", "to": day} for day in ("2026-11-20", "2026-11-2t"))
    entry(lake, "good", generations={"v2": {**report, "window": good}})
    entry(lake, "bad", generations={"v2": {**report, "window": bad}})
    entries, unreadable = read_entries(lake)
    assert [one.run for one in entries] == ["good"]
    assert [path.name.rsplit("-", 1)[1] for path in unreadable] == ["bad.json"]


def test_a_request_that_seems_to_be_days_away_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "requests"
    path.write_bytes(struct.pack("<3d", 1_000.0, 999.0, 1_000_000.0))
    limit = FileRateLimit(path, 1, clock=lambda: 1_000.0, sleep=lambda _: None)
    assert limit.acquire() == pytest.approx(60.0)


def test_a_sign_off_that_cannot_be_read_is_named(lake: Lake) -> None:
    people = Contacts(migration_lead=Person(name="Ada"), rollback_authority=Person(name="Grace"))
    sign(lake, people, "training", "Ada")
    (path,) = lake.ops.rglob("sign_offs/training.json")
    path.write_bytes(path.read_bytes().replace(b'"at"', b'"au"'))
    with pytest.raises(DamagedFileError, match="cannot be read; remove it and sign off again"):
        sign(lake, people, "training", "Grace")


def test_the_archives_of_edgar_that_a_killed_run_left_are_removed(lake: Lake) -> None:
    fresh, old = (lake.ops / "reference" / "edgar" / f"zips-{name}" for name in ("a", "b"))
    for folder in (fresh, old):
        folder.mkdir(parents=True)
        (folder / "facts.zip").write_bytes(b"x")
    os.utime(old, (0, 0))
    recover(lake)
    assert (fresh.exists(), old.exists()) == (True, False)
