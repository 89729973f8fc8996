"""A flipped bit of a file under `ops/`: what is derived is made anew, what is not is named."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Lake, codec, revisions
from polygon_fundamentals.lake.archived_rows import archived_file, read_archived, write_archived
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.silver.versions import superseded
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import fill

FLIPS = 120
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


@both
def test_what_is_derived_never_changes_what_is_read(filled: Lake, generation: Generation) -> None:
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
        for _ in range(FLIPS):
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
