"""The steps of restore: v1 back from its archive, with what was loaded since."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from polygon_fundamentals.cutover import archive_file
from polygon_fundamentals.cutover.archive_steps import ArchiveSteps
from polygon_fundamentals.cutover.context import SwitchContext
from polygon_fundamentals.cutover.journal import Journal
from polygon_fundamentals.cutover.originals import put_originals_back
from polygon_fundamentals.cutover.runner import Step, always
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.file_names import bucket_of, ticker_of_file
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.storage.local import flush_folder
from polygon_fundamentals.statements import Generation, Statement


class Restore(ArchiveSteps):
    """The steps of restore under a journal."""

    def __init__(self, lake: Lake, journal: Journal, context: SwitchContext) -> None:
        super().__init__(lake, journal, context)
        self.later = lake.bronze / ".fundamentals_v1_later"

    def restore_steps(self) -> list[Step]:
        """Return the steps of restore."""
        return [
            Step("check archive", self.check_archive),
            Step("extract", self.extract, self.drop_extracted),
            Step("into place", self.into_place),
            Step("join later loads", self.join_later, stays=always),
            Step(
                "give up kept records", self.drop_archived, stays=always, needs="join later loads"
            ),
        ]

    def check_archive(self) -> str:
        """Check the archive against its manifest."""
        manifest = archive_file.load_manifest(self.manifest_path)
        self.journal.note({"loaded_since": self.folder.is_dir()})
        if not self._in_place():
            archive_file.refuse_differences(
                archive_file.read_back(self.tar), manifest, str(self.tar)
            )
        return f"{len(manifest['files']):,} files as the manifest says"

    def extract(self) -> str:
        """Write the archive's files beside their place."""
        if self._in_place():
            return "in place already"
        shutil.rmtree(self.restoring, ignore_errors=True)
        manifest = archive_file.load_manifest(self.manifest_path)
        archive_file.extract(self.tar, manifest, self.restoring)
        self.context.on_reached("extracted")
        return f"{len(manifest['files']):,} files"

    def _in_place(self) -> bool:
        """Return whether the folder is the archive's, and not what was loaded after the cleanup."""
        later = self.facts["loaded_since"] and "placed" not in self.facts
        return self.folder.is_dir() and (not later or self.later.exists())

    def into_place(self) -> str:
        """Rename the folder into place; a folder that later loads created is moved aside first."""
        if not self._in_place():
            if self.folder.is_dir():
                os.rename(self.folder, self.later)
                self.context.on_reached("set aside")
            os.rename(self.restoring / archive_file.DATA, self.folder)
            flush_folder(self.lake.bronze)
        self.context.on_reached("in place")
        put_originals_back(self.lake, self.folder)
        self.journal.note({"placed": True})
        shutil.rmtree(self.restoring, ignore_errors=True)
        return f"{self.folder.name} is there again"

    def join_later(self) -> str:
        """Upsert the records that were loaded after the cleanup.

        It needs no lock: no v1 load can start while archived records are kept.
        """
        if not self.later.exists():
            return "nothing was loaded after the cleanup"
        datasets = [self.lake.dataset(Generation.V1, s) for s in Statement]
        at = self.context.clock()
        rows = sum(_joined(dataset, self.later / dataset.statement, at) for dataset in datasets)
        self.context.on_reached("joined")
        shutil.rmtree(self.later)
        return f"{rows:,} records that were loaded after the cleanup"


def _joined(dataset: Dataset, folder: Path, at: datetime) -> int:
    """Upsert the records of a folder into its dataset, a bucket of tickers at a time."""
    buckets: dict[int, list[tuple[str, Path]]] = {}
    for path in sorted(folder.glob("year=*/month=*/*")):
        ticker = ticker_of_file(path.name)
        if ticker is not None:
            buckets.setdefault(bucket_of(ticker), []).append((ticker, path))
    total = 0
    for some in buckets.values():
        tables, rows, start = [], dict[str, list[int]](), 0
        for ticker, path in some:
            dataset.index_file(ticker).unlink(missing_ok=True)
            table = codec.with_ticker(codec.read(path, dataset, ticker)[0], ticker)
            rows.setdefault(ticker, []).extend(range(start, start + table.num_rows))
            start += table.num_rows
            tables.append(table)
        whole = pa.concat_tables(tables).combine_chunks()
        commit(dataset, Incoming(whole, rows, Scope.WINDOW, frozenset(), at))
        total += start
    return total
