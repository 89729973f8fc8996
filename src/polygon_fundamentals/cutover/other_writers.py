"""What other tools write into a lake that we load: found by any command, repaired by the loads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from polygon_fundamentals.cutover.quarantine import (
    Changed,
    foreign_files,
    quarantine_foreign_files,
)
from polygon_fundamentals.lake import silver_files, their_form
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.catalogue import DatasetCounts
from polygon_fundamentals.lake.codec import is_ours
from polygon_fundamentals.lake.dataset_summary import Look, unindexed
from polygon_fundamentals.lake.listing import FileState, OtherWriters
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.recovery import rewritten_since, take_in
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.reports import counted
from polygon_fundamentals.statements import Generation, Statement


def _rewritten_in_v1(lake: Lake, changed: Changed = unindexed) -> list[tuple[Dataset, Path]]:
    """Return the files of v1, wherever its folder is, that another tool wrote since our last load.

    None before the form of v1's files was decided: until then they are the other tool's alone.
    """
    is_decided = their_form.form_file(lake).exists() and archived_since(lake) is None
    if not is_decided or not lake.generation_folder(Generation.V1).is_dir():
        return []
    rewritten = []
    for statement in Statement:
        dataset = lake.dataset(Generation.V1, statement)
        keeps_form = their_form.keeps_form(dataset)
        for state in rewritten_since(dataset, changed(dataset)):
            path = dataset.file(state.partition, state.ticker)
            # In our form a file with our mark is of a load that goes on or was killed.
            if keeps_form or not is_ours(path, dataset):
                rewritten.append((dataset, path))
    return rewritten


def other_writers(lake: Lake, counts: Sequence[DatasetCounts] = ()) -> OtherWriters:
    """Return what another tool wrote that no load has mended yet. Nothing is mended.

    `counts` are those of all datasets, where they have just been taken. A file of older months that
    was written over in place is not seen, see `Look.RECENT`; the next load sees it.
    """
    counted = {(of.generation, of.statement): of.unindexed for of in counts}

    def changed(dataset: Dataset) -> Sequence[FileState]:
        if counted:
            return counted[dataset.generation, Statement(dataset.statement)]
        return unindexed(dataset, Look.RECENT)

    v1 = [str(path.relative_to(lake.root)) for _, path in _rewritten_in_v1(lake, changed)]
    v2 = list[str]()
    if lake.pointer.is_symlink():
        v2 = [
            str(dataset.file(partition, ticker).relative_to(lake.root))
            for dataset, partition, ticker in foreign_files(lake, changed)
        ]
    link = silver_files.link_of(lake)
    silver = silver_files.foreign_files(link) if link.is_symlink() else []
    return OtherWriters(tuple(sorted(v1)), tuple(sorted(v2)), tuple(silver))


def _files(count: int) -> str:
    return f"{counted(count, 'file')} {'was' if count == 1 else 'were'}"


def notice(lake: Lake) -> str | None:
    """Return in one line what another tool wrote that no load has mended yet; None for nothing."""
    others = other_writers(lake)
    files = (*others.v2, *others.v1, *others.silver)
    if not files:
        return None
    return (
        f"{_files(len(files))} written by something else since our last load, such as "
        f"{files[0]}; `status` lists them, and the next load or build repairs them"
    )


def mend_others(lake: Lake) -> str | None:
    """Mend what another tool wrote since the last load; return that in one line, or None.

    The rows of v1's files are loaded and their doubles removed; files among v2's go to the
    quarantine. A file lists them all.

    Raises:
        DamagedFileError, OSError: a file cannot be read or written.
    """
    lines = []
    for dataset in dict.fromkeys(dataset for dataset, _ in _rewritten_in_v1(lake)):
        for path in take_in(dataset):
            lines.append(
                f"{path.relative_to(lake.root)} was written by something else: its rows were loaded"
            )
    quarantined = quarantine_foreign_files(lake)
    lines += [file_moved.sentence() for file_moved in quarantined]
    if not lines:
        return None
    moment = datetime.now(UTC)
    file = lake.ops / "quarantine" / f"{moment:%Y%m%dT%H%M%S%f}Z.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, "".join(f"{line}\n" for line in lines).encode())
    lost = sum(file_moved.v2_rows_lost for file_moved in quarantined)
    words = f"{_files(len(lines))} written by something else and repaired"
    if lost:
        words += f"; {lost:,} v2 rows are to be loaded again"
    return f"{words}: {file} lists them"


# Times of change are the kernel's clock, the ledger's are ours: they may differ by a tick.
SLACK_NS = 2_000_000_000


def written_by_others(
    lake: Lake, generation: Generation, spans: Sequence[tuple[datetime, datetime]]
) -> list[Path]:
    """Return the files that changed since our first load, other than by our loads.

    A file counts where no load was going on when it changed, or where it lacks our mark.
    Files that were there before our first load are another tool's, and are expected.
    """
    first = int(min(start for start, _ in spans).timestamp() * 1e9)
    windows = [(int(a.timestamp() * 1e9), int(b.timestamp() * 1e9)) for a, b in spans]
    foreign = []
    for statement in Statement:
        dataset = lake.dataset(generation, statement)
        for state in unindexed(dataset):
            if state.changed_ns < first - SLACK_NS:
                continue
            path = dataset.file(state.partition, state.ticker)
            within = any(
                start - SLACK_NS <= state.changed_ns <= end + SLACK_NS for start, end in windows
            )
            if not within or not is_ours(path, dataset):
                foreign.append(path)
    return sorted(foreign)
