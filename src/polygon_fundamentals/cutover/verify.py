"""Every file of the lake against what was recorded of it: damage is found before a reader finds it.

Of files that our loads wrote, the index has a checksum of the bytes; of those that it took in or
that an earlier version wrote, a hash of each row's content. v1's checksums are those of
`checklist --record-checksums`, an archive's stand in its manifest. A file of silver is named for
its content, and the note of each build counts its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from polygon_fundamentals.cutover import archive_file, checksums
from polygon_fundamentals.cutover.runner import OperationReport, StepResult
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake import revisions
from polygon_fundamentals.lake.archived_lines import read_lines
from polygon_fundamentals.lake.archived_rows import (
    archived_file,
    archived_since,
    lines_file,
    read_archived,
    read_repeats,
    repeats_file,
)
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.index import (
    TickerIndex,
    indexed_tickers,
    read_file,
    written,
)
from polygon_fundamentals.lake.listing import stamp_of
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.silver_files import TABLE
from polygon_fundamentals.lake.storage.checked import bytes_checksum
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.silver.build_files import part_name
from polygon_fundamentals.silver.builds import incomplete_builds
from polygon_fundamentals.statements import Generation, Statement

SHOWN = 3


@dataclass(frozen=True)
class Problem:
    """A file that is not what was recorded of it; `rewritten`: something wrote it since."""

    file: str
    reason: str
    rewritten: bool = False


@dataclass(frozen=True)
class VerifyReport(OperationReport):
    """What each part of the lake holds, and every file that is not as it was recorded."""

    files: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Part:
    """One part of the lake as verified; `not_recorded` are files of which nothing is known.

    `superseded` are files that our loads have written since the checksums were recorded.
    """

    name: str
    files: int = 0
    not_recorded: int = 0
    problems: tuple[Problem, ...] = ()
    remedy: str = ""
    superseded: int = 0

    def result(self) -> StepResult:
        """Return it as a line of a report."""
        count = f"{self.files:,} files"
        if self.problems:
            shown = "; ".join(f"{p.file}: {p.reason}" for p in self.problems[:SHOWN])
            more = len(self.problems) - SHOWN
            detail = f"{len(self.problems)} of {count} are not as recorded ({shown}"
            detail += f"; and {more} more)" if more > 0 else ")"
            return StepResult(self.name, False, detail, self.remedy)
        if self.not_recorded:
            detail = f"{count}; nothing is recorded for {self.not_recorded:,} of them"
            remedy = "a load of their tickers records them: `polygon-fundamentals historical-load`"
            return StepResult(self.name, None, detail, remedy)
        if self.superseded:
            detail = f"{count}; loads have changed {self.superseded:,} since they were recorded"
            remedy = "record them again: `polygon-fundamentals checklist --record-checksums`"
            return StepResult(self.name, None, detail, remedy)
        return StepResult(self.name, True, f"{count}, as recorded" if self.files else "no files")


def verify(lake: Lake, say: Callable[[str], None] = lambda _: None) -> VerifyReport:
    """Compare every file with what was recorded of it. Writes nothing; safe beside loads.

    The exit code is 4 where a file is damaged, changed or missing.
    """
    parts = []
    for generation in reversed(Generation):
        for statement in Statement:
            dataset = lake.dataset(generation, statement)
            say(f"verifying {dataset.name}")
            parts += [_files_of(dataset), _revisions_of(dataset)]
    parts += [_files_of(lake.ratios), _revisions_of(lake.ratios)]
    parts += [_v1_checksums(lake), *_archives(lake), _archived_rows(lake), _silver(lake)]
    problems = tuple(problem for part in parts for problem in part.problems)
    files = sum(part.files for part in parts)
    message = f"{files:,} files, none of them damaged" if files else "there is no file to verify"
    if problems:
        message = f"{len(problems)} of {files:,} files are not as recorded: {problems[0].file}"
    steps = tuple(part.result() for part in parts if part.files or part.problems)
    return VerifyReport(message, steps, 4 if problems else 0, files=files, problems=problems)


def damaged_files(lake: Lake, generation: Generation) -> list[Problem]:
    """Return the files of a generation that are not as recorded, though nothing wrote them since.

    Another tool that writes a file anew gives it another time of change; damage does not.
    """
    damaged = []
    for statement in Statement:
        dataset = lake.dataset(generation, statement)
        damaged += [problem for problem in _files_of(dataset).problems if not problem.rewritten]
    return damaged


def _files_of(dataset: Dataset) -> _Part:
    remedy = (
        "restore these files from a backup, or remove them and load their tickers again: "
        f"`polygon-fundamentals historical-load --generation {dataset.generation} --tickers ...`"
    )
    by_ticker: dict[str, set[int]] = {}
    for partition, ticker, _ in dataset.files():
        by_ticker.setdefault(ticker, set()).add(partition)
    # Of an archived v1 the index stays, for the restore; its files are rightly not there.
    gone = dataset.generation is Generation.V1 and archived_since(dataset.lake) is not None
    tickers = by_ticker.keys() | set(indexed_tickers(dataset))
    count = not_recorded = 0
    problems: list[Problem] = []
    for ticker in sorted(by_ticker if gone else tickers):
        known = written(dataset, ticker)
        partitions = by_ticker.get(ticker, set()) | (set() if gone else known.files.keys())
        for partition in sorted(partitions):
            count += 1
            reason = _reason(dataset, ticker, partition, known)
            if reason:
                # A load may have written it meanwhile: asked again while none can.
                lock = dataset.lake.lock(f"{dataset.name}.{bucket_of(ticker):02d}")
                with exclusive(lock, 60.0, "a bucket of tickers"):
                    again = written(dataset, ticker)
                    reason = _reason(dataset, ticker, partition, again)
            if reason is None:
                not_recorded += 1
            elif reason:
                path = dataset.file(partition, ticker)
                file = str(path.relative_to(dataset.lake.root))
                entry, stamp = known.files.get(partition), stamp_of(path)
                rewritten = entry is not None and stamp is not None and stamp != tuple(entry[:2])
                problems.append(Problem(file, reason, rewritten))
    return _Part(dataset.name, count, not_recorded, tuple(problems), remedy)


def _reason(dataset: Dataset, ticker: str, partition: int, known: TickerIndex) -> str | None:
    """Return what is wrong with a file: an empty text if nothing, None if nothing is recorded."""
    path = dataset.file(partition, ticker)
    stamp = stamp_of(path)
    entry = known.files.get(partition)
    if stamp is None:
        return "is missing" if entry is not None else ""
    try:
        checksum = bytes_checksum(path.read_bytes())
    except FileNotFoundError:
        return "is missing"  # a load moved it meanwhile: asked again under the lock
    if entry is not None and known.checksums.get(partition) == checksum:
        return ""
    try:
        stored = read_file(dataset, partition, ticker)
    except DamagedFileError as error:
        return f"cannot be read ({error.__cause__ or error})"
    if entry is None or known.is_older or stored is None:
        return None
    recorded = {key: row[1] for key, row in known.rows.items() if row[0] == partition}
    present = {key: stored.hashes[position] for key, position in stored.current_rows.items()}
    # A row that stands elsewhere too (an unfinished move) is recorded there.
    differ = {key for key in recorded if present.get(key) != recorded[key]}
    differ |= present.keys() - known.rows.keys()
    if differ:
        rows = f"{len(differ)} of {max(len(recorded), len(present))} rows differ from the index"
        touched = "" if stamp == tuple(entry[:2]) else ", and something else wrote it since"
        return rows + touched
    if partition in known.checksums and stamp == tuple(entry[:2]):
        return "its rows are as recorded, but its bytes are not"
    return ""


def _revisions_of(dataset: Dataset) -> _Part:
    folder = dataset.revisions_file("X").parent
    problems, count = [], 0
    for path in sorted(folder.glob("ticker=*.parquet")):
        count += 1
        ticker = unquote(path.stem.removeprefix("ticker="))
        try:
            revisions.read(dataset, ticker)
        except LakeError as error:
            problems.append(Problem(str(path.relative_to(dataset.lake.root)), str(error)))
    name = f"revisions of {dataset.name}"
    return _Part(name, count, 0, tuple(problems), "restore these files from a backup")


def _v1_checksums(lake: Lake) -> _Part:
    name, remedy = "v1's recorded checksums", "compare these files with a copy of v1"
    known = checksums.recorded(lake)
    folder = lake.generation_folder(Generation.V1)
    if known is None or not folder.is_dir():
        return _Part(name)
    shown = folder.relative_to(lake.root)
    changed = checksums.changed_since(lake, known)
    problems = tuple(
        Problem(f"{shown}/{file}", "is not what its recorded checksum says")
        for file in changed
        if not checksums.is_as_indexed(lake, file)
    )
    superseded = len(changed) - len(problems)
    return _Part(name, len(known), 0, problems, remedy, superseded)


def _archives(lake: Lake) -> Iterator[_Part]:
    for tar in sorted((lake.root / "archive").glob("fundamentals_v1_*.tar.zst")):
        part = _Part(f"archive {tar.name}", 1, remedy="use another copy of the archive")
        try:
            recorded = archive_file.load_manifest(archive_file.manifest_of(tar)).get("sha256")
        except LakeError as error:
            yield replace(part, problems=(Problem(f"archive/{tar.name}", str(error)),))
            continue
        if recorded is None:
            yield replace(part, not_recorded=1)
        elif recorded != checksums.checksum(tar):
            problem = Problem(f"archive/{tar.name}", "is not what its manifest's checksum says")
            yield replace(part, problems=(problem,))
        else:
            yield part


def _archived_rows(lake: Lake) -> _Part:
    problems, count = [], 0
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        for path, read in (
            (archived_file(dataset), read_archived),
            (repeats_file(dataset), read_repeats),
            (lines_file(dataset), read_lines),
        ):
            count += path.exists()
            try:
                read(dataset)
            except DamagedFileError as error:
                problems.append(Problem(str(path.relative_to(lake.root)), str(error)))
    remedy = "bring v1 back with `polygon-fundamentals restore --execute`, then clean up again"
    return _Part("rows of the archived v1", count, 0, tuple(problems), remedy)


def _silver(lake: Lake) -> _Part:
    problems, count = [], 0
    tables = ("builds/*/year=*/part-*.parquet", "history/*/initial=*/part-*.parquet")
    for path in sorted(path for files in tables for path in lake.silver.glob(files)):
        if path.parent.parent.name.endswith(".partial"):
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # a build that was cleared away meanwhile
            continue
        count += 1
        if part_name(data) != path.name:
            reason = "is not what its name says"
            problems.append(Problem(str(path.relative_to(lake.root)), reason))
    try:
        for folder, reason in incomplete_builds(lake):
            problems.append(Problem(str(folder.relative_to(lake.root)), reason))
    except DamagedFileError as error:
        problems.append(Problem(f"silver/{TABLE}", str(error)))
    remedy = "remove the build and silver/fundamentals_wide; then run `polygon-fundamentals silver`"
    return _Part("silver", count, 0, tuple(problems), remedy)
