"""The originals of v1's files that our loads rewrote, and the way back to them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from polygon_fundamentals.cutover import checksums, companions
from polygon_fundamentals.cutover.runner import OperationReport, StepResult
from polygon_fundamentals.errors import AnswerIsNo
from polygon_fundamentals.lake import index, their_form
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.file_names import partition_of_folder, ticker_of_file
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.lake.storage.checked import bytes_checksum
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation, Statement

LOCK_SECONDS = 60.0
# A file as it was first kept, or a later version of it with its number.
_VERSION = re.compile(r"(.+\.parquet)(?:\.(\d+))?")


@dataclass(frozen=True)
class Originals:
    """What a return would do: `back` are (original, its place), `added` files of ours alone.

    `changed` are files of ours that another tool wrote again since: they stay as they are. Where it
    did so before our last load, the version that it wrote last goes back, and those before it are
    `earlier`.
    """

    back: tuple[tuple[Path, Path], ...]
    added: tuple[Path, ...]
    changed: tuple[Path, ...]
    earlier: tuple[Path, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of the originals."""
        return sum(original.stat().st_size for original, _ in self.back)

    def sentence(self) -> str:
        """Return it in one line."""
        words = (
            f"{len(self.back):,} originals ({self.bytes / 1e6:,.1f} MB) to their places in v1's "
            f"folder, {len(self.added):,} files that our loads added to ops/adopted_away"
        )
        if self.earlier:
            words += f"; {len(self.earlier):,} earlier versions of them go there too"
        if self.changed:
            words += (
                f"; {len(self.changed):,} files that another tool wrote again since stay, such as "
                f"{self.changed[0]}"
            )
        return words


def originals(lake: Lake) -> Originals:
    """Return what `give_back` would do. Nothing is written."""
    back, changed = list[tuple[Path, Path]](), list[tuple[Path, Path]]()
    added, earlier = list[Path](), list[Path]()
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        originals_by_place = _kept_originals(dataset)
        for place, versions in originals_by_place.items():
            if _is_as_we_wrote(dataset, place):
                back.append((versions[-1], place))
                earlier += versions[:-1]
            else:
                changed.append((versions[-1], place))
        for partition, ticker, _ in dataset.files():
            place = dataset.file(partition, ticker)
            if place not in originals_by_place and _is_as_we_wrote(dataset, place):
                added.append(place)
    places = tuple(place for _, place in changed)
    return Originals(tuple(back), tuple(added), places, tuple(earlier))


def _kept_originals(dataset: Dataset) -> dict[Path, list[Path]]:
    """Return place → the versions of it that are kept, the first of them first."""
    folder = folder_of_originals(dataset)
    numbered: dict[Path, dict[int, Path]] = {}
    for path in folder.glob("year=*/month=*/*"):
        if match := _VERSION.fullmatch(path.name):
            place = dataset.folder / path.relative_to(folder).with_name(match[1])
            numbered.setdefault(place, {})[int(match[2] or 1)] = path
    return {
        place: [versions[number] for number in sorted(versions)]
        for place, versions in sorted(numbered.items())
    }


def folder_of_originals(dataset: Dataset) -> Path:
    """Return the folder in `ops/adopted` that keeps a dataset's originals."""
    return dataset.lake.ops / "adopted" / dataset.name


def size_of_originals(lake: Lake) -> tuple[int, int]:
    """Return how many originals of v1's files are kept, and their bytes."""
    folders = [folder_of_originals(lake.dataset(Generation.V1, s)) for s in Statement]
    sizes = [path.stat().st_size for folder in folders for path in folder.rglob("*.parquet*")]
    return len(sizes), sum(sizes)


def _is_as_we_wrote(dataset: Dataset, place: Path) -> bool:
    """Return whether a file has the bytes that our last write gave it, or went with its rows."""
    ticker, partition = ticker_of_file(place.name), partition_of_folder(place.parent)
    if ticker is None or partition is None:
        return False
    known = index.written(dataset, ticker)
    if not place.exists():
        return partition not in known.files
    checksum = known.checksums.get(partition)
    return checksum is not None and bytes_checksum(place.read_bytes()) == checksum


def take_originals(lake: Lake, folder: Path) -> int:
    """Put the originals of v1's files into v1's folder, which a cleanup archives; return how many.

    Safe to repeat.
    """
    return sum(_move_all(there, inside) for there, inside in _both_places(lake, folder))


def put_originals_back(lake: Lake, folder: Path) -> None:
    """Put the originals back from v1's folder to `ops/adopted`. Safe to repeat."""
    for there, inside in _both_places(lake, folder):
        _move_all(inside, there)
    with suppress(FileNotFoundError):
        (folder / companions.ORIGINALS).rmdir()


def _both_places(lake: Lake, folder: Path) -> Iterator[tuple[Path, Path]]:
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        yield folder_of_originals(dataset), folder / companions.ORIGINALS / dataset.name


def _move_all(source: Path, target: Path) -> int:
    """Move all files of a folder, to another device too; return how many.

    The target has them all before the source goes.
    """
    local.remove_leftovers(target)
    files = list(checksums.walk(source))
    for path in files:
        place = target / path.relative_to(source)
        if not place.exists():
            _put(path, place)
    if files:
        local.flush_folder(target)
    shutil.rmtree(source, ignore_errors=True)
    return len(files)


def _put(path: Path, place: Path) -> None:
    """Give a file a second place, in one step."""
    with local.replacing(place) as beside:
        local.link_or_copy(path, beside)


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(path, target)


def give_back(lake: Lake, *, execute: bool) -> OperationReport:
    """Give v1's folder the files back that another tool wrote; without `execute` say what that is.

    Rows that only our loads brought leave v1's folder with the files that hold them; the next load
    brings them again. Safe to repeat.

    Raises:
        AnswerIsNo: no original is kept.
        LakeLockedError: a load is running.
    """
    stored = originals(lake)
    if not stored.back and not stored.added:
        where = f"no original of v1's files is kept in {lake.ops / 'adopted'}"
        if archived_since(lake) is not None:
            where += "; they are in v1's archive, which `restore --execute` brings back first"
        raise AnswerIsNo(where)
    words = stored.sentence()
    if not execute:
        step = StepResult("originals", True, words)
        return OperationReport(f"{words}; --execute carries it out", (step,), executed=False)
    with exclusive(lake.lock("writers"), LOCK_SECONDS, "a load or switch of this lake"):
        stored = originals(lake)
        words = stored.sentence()
        away = lake.ops / "adopted_away" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
        folder = lake.generation_folder(Generation.V1)
        for place in stored.added:
            _move(place, away / place.relative_to(folder))
            local.remove_empty_folders(place.parent, folder)
        for version in stored.earlier:
            _move(version, away / "earlier" / version.relative_to(lake.ops / "adopted"))
        for original, place in stored.back:
            _put(original, place)
            original.unlink()
        for statement in Statement:
            dataset = lake.dataset(Generation.V1, statement)
            # Both describe the files that were written over; the next load reads v1 again.
            shutil.rmtree(lake.ops / "index" / dataset.name, ignore_errors=True)
            if not stored.changed:
                shutil.rmtree(folder_of_originals(dataset), ignore_errors=True)
        if (lake.ops / "adopted").is_dir():
            local.remove_empty_folders(lake.ops / "adopted", lake.ops)
        their_form.form_file(lake).unlink(missing_ok=True)
    return OperationReport(f"given back: {words}", (StepResult("originals", True, words),))
