"""Where things are in the lake."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from polygon_fundamentals import places
from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.lake.file_names import partition_folder, ticker_file_name, ticker_of_file
from polygon_fundamentals.lake.pointer_link import linked_generation, links_to_itself
from polygon_fundamentals.statements import Generation, Snapshot, Statement

POINTER, V1_ARCHIVE, V2_FOLDER = places.POINTER, places.V1_ARCHIVE, places.V2_FOLDER
# Beside both generations' folders: a switch moves nothing of it, and an older tool's folder
# `ratios`, wherever it is, stays its own.
RATIOS_FOLDER = places.RATIOS_FOLDER
# In every build of silver; its time says when readers were last led to the build.
SILVER_NOTE = "_build.json"


@dataclass(frozen=True)
class Dataset:
    """One statement of one generation: the folder that writers of it write to."""

    lake: Lake
    generation: Generation
    statement: Statement

    @property
    def name(self) -> str:
        """`v2.balance_sheets`: used in the names of locks, notes and index folders."""
        return f"{self.generation}.{self.statement}"

    @cached_property
    def folder(self) -> Path:
        """The dataset's folder in the generation's own folder."""
        return self.lake.generation_folder(self.generation) / self.statement

    def file(self, partition: int, ticker: str) -> Path:
        """Return the file of a ticker in a partition."""
        return Path(self.file_name(partition, ticker))

    def file_name(self, partition: int, ticker: str) -> str:
        """Return `file` as text, which is made much faster than a Path."""
        return f"{self.folder}/{partition_folder(partition)}/{ticker_file_name(ticker)}"

    @property
    def index_folder(self) -> Path:
        """The folder of the tickers' index files."""
        return self.lake.ops / "index" / self.name

    def index_file(self, ticker: str) -> Path:
        """Return the index file of a ticker."""
        return self.index_folder / ticker_file_name(ticker).replace(".parquet", ".json")

    def revisions_file(self, ticker: str) -> Path:
        """Return the file of a ticker's superseded rows."""
        return self.lake.ops / "revisions" / self.name / ticker_file_name(ticker)

    def files(self) -> Iterator[tuple[int, str, os.DirEntry[str]]]:
        """Yield (partition, ticker, entry) of every ticker file now in the folder.

        Only folder entries are read, never a file. Files of other names are passed over.
        """
        for partition, folder in self.partitions():
            for ticker, entry in ticker_files(folder):
                yield partition, ticker, entry

    def partitions_by_ticker(self) -> dict[str, set[int]]:
        """Return ticker → the partitions of its files now, from folder entries alone."""
        listed: dict[str, set[int]] = {}
        for partition, ticker, _ in self.files():
            listed.setdefault(ticker, set()).add(partition)
        return listed

    def partitions(self) -> Iterator[tuple[int, os.DirEntry[str]]]:
        """Yield (partition, its folder's entry) of every month that has a folder.

        Raises:
            LakeError: a folder is not named as the lake names months, such as `month=5`: its files
                would be read and never written again.
        """
        for year in _numbered(self.folder, "year="):
            for month in _numbered(self.folder / year.name, "month="):
                partition = int(year.name[5:]) * 100 + int(month.name[6:])
                named = f"{year.name}/{month.name}"
                is_month = 1 <= partition % 100 <= 12 and partition < 1_000_000
                if partition_folder(partition) != named or not is_month:
                    raise LakeError(
                        f"{month.path} is not named as the lake names months: rename it to "
                        "year=YYYY/month=MM (or move its files there, where that folder exists), "
                        "then run again"
                    )
                yield partition, month

    def partitions_of(self, tickers: Iterable[str]) -> dict[str, set[int]]:
        """Return ticker → the partitions in which it has a file now."""
        names = {ticker: ticker_file_name(ticker) for ticker in tickers}
        folders = list(self.partitions()) if names else []
        return {
            ticker: {p for p, folder in folders if os.path.exists(f"{folder.path}/{name}")}
            for ticker, name in names.items()
        }


@dataclass(frozen=True)
class RatiosDataset(Dataset):
    """The daily ratios: written, indexed and recovered as a statement, compared with nothing."""

    # Parity, silver and the switch go by Statement, and are never given this dataset.
    statement: Snapshot  # type: ignore[assignment]

    @cached_property
    def folder(self) -> Path:
        """The one folder of the ratios."""
        return self.lake.bronze / RATIOS_FOLDER


def ticker_files(folder: os.DirEntry[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (ticker, entry) of every ticker file in a partition's folder.

    Raises:
        LakeError: a file has another name than the lake gives its ticker, such as
            `ticker=%41AA.parquet`: readers would meet it beside AAA's own.
    """
    with os.scandir(folder.path) as entries:
        for entry in entries:
            ticker = ticker_of_file(entry.name)
            if ticker is None:
                continue
            if entry.name != (name := ticker_file_name(ticker)):
                raise LakeError(
                    f"{entry.path} is not named as the lake names files of {ticker}: rename it to "
                    f"{name} (or move it away, where that file exists), then run again"
                )
            yield ticker, entry


def _numbered(folder: Path, prefix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            folders = [
                e
                for e in entries
                if e.name.startswith(prefix) and e.is_dir() and e.name[len(prefix) :].isdigit()
            ]
    except FileNotFoundError:
        return []
    return sorted(folders, key=lambda entry: entry.name)


def _is_there(path: Path) -> bool:
    """Return whether a folder, or a link to one on another disk, has v1's archive name."""
    return path.is_dir() or (path.is_symlink() and not links_to_itself(path))


@dataclass(frozen=True)
class Lake:
    """The folder tree under `QUANTLAKE_ROOT`."""

    root: Path

    @property
    def bronze(self) -> Path:
        """`bronze/`."""
        return self.root / places.BRONZE

    @property
    def ops(self) -> Path:
        """`ops/`: ledger, revisions, index, locks, journals."""
        return self.root / "ops"

    @property
    def silver(self) -> Path:
        """`silver/`."""
        return self.root / "silver"

    @property
    def pointer(self) -> Path:
        """`bronze/fundamentals`, the one path that readers use."""
        return self.bronze / POINTER

    def generation_folder(self, generation: Generation) -> Path:
        """Return the folder that writers of a generation write to.

        v1's is `bronze/fundamentals` until its folder has its archive name, whatever has become
        of the link since.

        Raises:
            LakeError: the pointer is a link out of the lake, so which folder is v1's is unclear.
        """
        if generation is Generation.V2:
            return self.bronze / V2_FOLDER
        archive = self.bronze / V1_ARCHIVE
        if self.pointer.is_symlink():
            self._linked()
            return archive
        return archive if _is_there(archive) else self.pointer

    @property
    def primary(self) -> Generation:
        """The generation that the pointer leads to: v1 before the cutover.

        Raises:
            LakeError: the pointer leads out of the lake, or it is no longer a link.
        """
        if not self.pointer.is_symlink():
            self.refuse_lost_pointer()
            return Generation.V1
        return self._linked()

    def _linked(self) -> Generation:
        folders = {Generation.V1: self.bronze / V1_ARCHIVE, Generation.V2: self.bronze / V2_FOLDER}
        return linked_generation(self.pointer, folders, self.ops / "index")

    def refuse_lost_pointer(self) -> None:
        """Refuse a lake whose link was deleted, or copied as the folder that it led to.

        Raises:
            LakeError: v1's folder has its archive name, and the pointer is not a link to either.
        """
        archive = self.bronze / V1_ARCHIVE
        was_archived = any((self.ops / "kept").glob(f"{Generation.V1}.*.parquet"))
        if self.pointer.is_symlink() or not (_is_there(archive) or was_archived):
            return
        if self.pointer.exists():
            both = f"{self.pointer} and {archive} are both folders, so which is v1 is unclear"
            if was_archived:
                both = f"{self.pointer} is a folder, though v1 is in the archive of a cleanup"
            raise LakeError(
                f"{both}. Where it is a copy of {V2_FOLDER} (as `cp -L` makes it), move it away "
                f"and make the link again: `ln -s {V2_FOLDER} {self.pointer}`"
            )
        raise LakeError(
            f"{self.pointer}, the link that readers open, is not there; make it again: `ln -s "
            f"{V2_FOLDER} {self.pointer}` (where v1 was primary: {V1_ARCHIVE})"
        )

    def dataset(self, generation: Generation, statement: Statement) -> Dataset:
        """Return one dataset of the lake."""
        return Dataset(self, generation, statement)

    @property
    def ratios(self) -> RatiosDataset:
        """The daily ratios, of which there is one generation."""
        return RatiosDataset(self, Generation.V2, Snapshot.RATIOS)

    def lock(self, name: str) -> Path:
        """Return the path of a lock file."""
        return self.ops / "locks" / f"{name}.lock"

    def prepare(self) -> None:
        """Create the lake's folders and prove that they can be written.

        Raises:
            UsageError: the path is a file or cannot be written.
        """
        text = str(self.root)
        try:
            for folder in (self.bronze, self.ops / "locks"):
                folder.mkdir(parents=True, exist_ok=True)
            # Without a name that a thread, or a process of another host, could have too.
            with tempfile.TemporaryFile(dir=self.ops / "locks", buffering=0) as probe:
                probe.write(b"probe")
        except (NotADirectoryError, FileExistsError) as error:
            raise UsageError(
                f"the lake {text} is a file, or is below one; give a folder with --lake"
            ) from error
        except OSError as error:
            raise UsageError(
                f"the lake {text} cannot be written ({error.strerror}); "
                "free space or fix its permissions, or give another folder with --lake"
            ) from error


def lake_at(place: Lake | Path | str) -> Lake:
    """Return the lake in a folder, for callers outside who have its path; a `Lake` as it is.

    Raises:
        LakeError: the folder holds no lake.
    """
    if isinstance(place, Lake):
        return place
    lake = Lake(Path(place))
    if not lake.bronze.is_dir():
        raise LakeError(f"{place} is not a lake: it has no folder {lake.bronze.name}")
    return lake
