"""Which tickers the lake has and in which files, kept up to date.

No file is opened for it but the archived records of v1, whose tickers may no longer have a file of
their own (`cleanup` archives v1's files, and v2 does not list delisted companies).

Our writers rename files into place, which changes the time of their folder: so a look at the
folders shows which to list again. Another tool may write into an existing file, so a part of the
folders is listed again at every look, and all of them within about a minute.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.field_map import tables_digest
from polygon_fundamentals.lake.file_names import bucket_of, ticker_file_name
from polygon_fundamentals.lake.listing import Stamp, stamp_of
from polygon_fundamentals.lake.paths import Dataset, Lake, ticker_files
from polygon_fundamentals.statements import Generation, Statement

REVISIONS = -1
ARCHIVED = -2
# A folder changed so short a time before it was listed may change again within the same tick.
_TICK_NS = 2_000_000_000
# So many looks until every folder was listed again.
_LOOKS = 120

Place = tuple[str, int]  # dataset's name, partition (YYYYMM) or REVISIONS
# The stamp of a file as one number: two in a tuple take three times the memory, 13 MB for 300
# companies.
Packed = int
_SIZE_BITS = 40


def packed(stamp: Stamp) -> Packed:
    """Return the stamp of a file as one number."""
    return stamp[0] << _SIZE_BITS | stamp[1]


def datasets(lake: Lake) -> list[Dataset]:
    """Return the six datasets of a lake, as the pointer stands now."""
    return [lake.dataset(g, s) for g in Generation for s in Statement]


def digest(stamps: dict[Place, Packed], shared: str) -> str:
    """Return a digest of the state of one ticker's files; `shared` is `shared_state`."""
    lines = [f"{name} {part} {stamp}" for (name, part), stamp in sorted(stamps.items())]
    return hashlib.blake2b("\n".join([shared, *lines]).encode(), digest_size=12).hexdigest()


def shared_state(lake: Lake) -> str:
    """Return the state of what concerns every ticker: archived rows, original dates, field map.

    Records are compressed with words of the field map, and unpacked with other ones are garbage.
    """
    dates = stamp_of(lake.ops / "reference" / "original_dates.parquet")
    return " ".join(map(str, [tables_digest(), dates, *_archive_state(lake)]))


def _archive_state(lake: Lake) -> list[Stamp | None]:
    names = (f"v1.{statement}.parquet" for statement in Statement)
    return [stamp_of(lake.ops / "kept" / name) for name in names]


def archived_tickers(root: str) -> frozenset[str]:
    """Return the tickers of the records that `cleanup` archived.

    Raises:
        DamagedFileError: they cannot be read.
    """
    # It takes Arrow, which the process that answers does without.
    from polygon_fundamentals.lake.archived_rows import read_archived

    tickers: set[str] = set()
    for statement in Statement:
        dataset = Lake(Path(root)).dataset(Generation.V1, statement)
        rows = read_archived(dataset, columns=["ticker"])
        if rows is not None:
            tickers.update(rows["ticker"].unique().to_pylist())
    return frozenset(tickers)


def stamps_of(lake: Lake, tickers: Iterable[str]) -> dict[str, dict[Place, Packed]]:
    """Return ticker → its files, by looking for each in every folder."""
    stamps: dict[str, dict[Place, Packed]] = {ticker: {} for ticker in tickers}
    for dataset in datasets(lake):
        # As texts: putting a Path together takes five times as long as looking for its file.
        folders = [(part, str(path)) for part, path in _folders(dataset)]
        for ticker, mine in stamps.items():
            name = ticker_file_name(ticker)
            for part, folder in folders:
                stamp = stamp_of(f"{folder}/{name}")
                if stamp is not None:
                    mine[dataset.name, part] = packed(stamp)
    return stamps


def is_unsettled(lake: Lake, tickers: Iterable[str]) -> bool:
    """Return whether a commit of one of the tickers is under way, or was cut off."""
    try:
        notes = set(os.listdir(lake.ops / "unfinished"))
    except FileNotFoundError:
        return False
    buckets = {bucket_of(ticker) for ticker in tickers} if notes else set()
    names = (f"{d.name}.{bucket:02d}.json" for d in datasets(lake) for bucket in buckets)
    return any(name in notes for name in names)


def _folders(dataset: Dataset) -> Iterator[tuple[int, Path]]:
    for part, entry in dataset.partitions():
        yield part, Path(entry.path)
    yield REVISIONS, dataset.revisions_file("X").parent


@dataclass
class LakeFiles:
    """Every ticker of the lake, and its files as they were at the last `look`.

    `list_archived` is `archived_tickers`, where it may be run.
    """

    lake: Lake
    list_archived: Callable[[str], frozenset[str]] = archived_tickers
    tickers: dict[str, dict[Place, Packed]] = field(default_factory=dict)
    shared: str = ""
    _archive: list[Stamp | None] = field(default_factory=list)
    _archived: frozenset[str] = frozenset()
    # Folder → its time of change when it was listed; None where it may have changed since.
    _folders: dict[Place, int | None] = field(default_factory=dict)
    _turn: int = 0

    def look(self) -> set[str]:
        """List the folders that changed; return the tickers with files that changed.

        One that the lake no longer has is among them.

        Raises:
            DamagedFileError: the tickers of v1's archived records cannot be read.
            LakeError: a dataset's folder is gone, as when its disk was unmounted: what was seen
                before stands.
        """
        self._refuse_gone()
        was_link = self.lake.pointer.is_symlink()
        changed = self._look_at_archive()
        before = self.shared
        self.shared = shared_state(self.lake)
        present: set[Place] = set()
        self._turn += 1
        for dataset in datasets(self.lake):
            for part, path in _folders(dataset):
                place = (dataset.name, part)
                stamp = stamp_of(path)
                if stamp is None:
                    continue
                present.add(place)
                its_turn = (hash(place) + self._turn) % _LOOKS == 0
                if self._folders.get(place) != stamp[0] or its_turn:
                    changed |= self._list(place, path, stamp[0])
        for place in self._folders.keys() - present:
            changed |= self._list(place, None, None)
            del self._folders[place]
        if self.lake.pointer.is_symlink() != was_link:
            # v1's folder got its new name meanwhile: what was seen under the old one may be v2's.
            self._folders = dict.fromkeys(self._folders)
            return changed | self.look()
        if before != self.shared:
            changed |= self.tickers.keys()
        return changed

    def _refuse_gone(self) -> None:
        seen = {name for name, part in self._folders if part != REVISIONS}
        for dataset in datasets(self.lake):
            if dataset.folder.is_dir():
                continue
            # At the start nothing was seen; the index then says what was there. `check_layout`
            # reads it, with Arrow, which this process does without.
            if dataset.name not in seen and not any(dataset.index_folder.glob("ticker=*.json")):
                continue
            # `cleanup` removes v1's, once its records are archived.
            if dataset.generation is Generation.V1 and any(_archive_state(self.lake)):
                continue
            raise LakeError(f"{dataset.folder} is not there any more; mount it, or put it back")

    def _look_at_archive(self) -> set[str]:
        """Bring the tickers of archived records up to date; return those that come or go."""
        state = _archive_state(self.lake)
        if state == self._archive:
            return set()
        archived = self.list_archived(str(self.lake.root)) if any(state) else frozenset()
        for ticker in archived:
            self.tickers.setdefault(ticker, {})
        gone = {t for t in self._archived - archived if not self.tickers[t]}
        for ticker in gone:
            del self.tickers[ticker]
        changed = self._archived ^ archived
        self._archive, self._archived = state, archived
        return set(changed)

    def _list(self, place: Place, path: Path | None, changed_ns: int | None) -> set[str]:
        """Bring the entries of one folder up to date; return the tickers that changed in it."""
        now: dict[str, Packed] = {}
        if changed_ns is not None and time.time_ns() - changed_ns < _TICK_NS:
            changed_ns = None
        for ticker, entry in [] if path is None else _entries(path):
            try:
                stat = entry.stat()
            except FileNotFoundError:
                changed_ns = None
                continue
            now[ticker] = packed((stat.st_mtime_ns, stat.st_size))
        changed = set()
        if place in self._folders:
            changed = {t for t, mine in self.tickers.items() if place in mine and t not in now}
        for ticker in changed:
            mine = self.tickers[ticker]
            del mine[place]
            if not mine and ticker not in self._archived:
                del self.tickers[ticker]
        for ticker, stamp in now.items():
            mine = self.tickers.setdefault(ticker, {})
            if mine.get(place) != stamp:
                mine[place] = stamp
                changed.add(ticker)
        self._folders[place] = changed_ns
        return changed

    def digests(self, tickers: Collection[str]) -> dict[str, str]:
        """Return ticker → digest of its files."""
        return {t: digest(self.tickers.get(t, {}), self.shared) for t in tickers}


def _entries(path: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(path.parent) as siblings:
            folder = next((entry for entry in siblings if entry.name == path.name), None)
        if folder is not None:
            yield from ticker_files(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
