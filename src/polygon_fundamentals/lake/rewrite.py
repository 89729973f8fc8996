"""What a ticker's files will hold, and which of their rows become revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec, index, revisions
from polygon_fundamentals.lake.changes import Incoming, Plan, RowIds, own_key, revised_rows
from polygon_fundamentals.lake.one_row_files import NewRow
from polygon_fundamentals.lake.paths import Dataset


@dataclass(frozen=True)
class Changes:
    """What an answer changes of a ticker's records; `changed` is key → position among its rows."""

    incoming: Incoming
    ids: RowIds
    changed: Mapping[str, int]
    withdrawn: Sequence[str]


def rewrite(
    dataset: Dataset,
    plan: Plan,
    changes: Changes,
    arriving: Mapping[int, Sequence[int]],
    leaving: set[int],
) -> set[str]:
    """Work out the new content of every file touched and the revisions.

    Returns the changed and withdrawn keys that were left as they are because the lake's row was
    observed after this answer was asked for (two runs at once).
    """
    ticker, incoming = plan.ticker, changes.incoming
    stored = {
        partition: index.read_file(dataset, partition, ticker)
        for partition in sorted(leaving | arriving.keys())
    }
    late = _late(stored, plan.index, changes)
    gone = (set(changes.withdrawn) | set(changes.changed)) - late
    for partition, file in stored.items():
        rows = [
            i
            for i in arriving.get(partition, ())
            if own_key(changes.ids.keys[i], ticker) not in late
        ]
        digests = {own_key(changes.ids.keys[i], ticker): changes.ids.hashes[i] for i in rows}
        plan.hashes[partition] = digests
        if rows:
            plan.arrivals.add(partition)
        if file is None:
            plan.fresh[partition] = rows
            if incoming.files is not None and len(rows) == 1:
                plan.contents[partition] = NewRow(incoming.files, rows[0], ticker)
                continue
        pieces = [codec.with_ticker(codec.pick(incoming.table, rows), ticker)]
        if file is not None:
            _refuse_damage(dataset, file, ticker, plan.index)
            parted = _parted(file, partition, plan.index, gone, changes.changed)
            digests.update({file.keys[i]: file.hashes[i] for i in parted.stay})
            if parted.revised:
                old = codec.pick(file.table, list(parted.revised))
                events = list(parted.revised.values())
                plan.revisions.append(revised_rows(old, ticker, incoming, events))
            moved = [
                i
                for i in parted.revised
                if i in parted.replaced and changes.changed[file.keys[i]] not in rows
            ]
            if moved:
                plan.moved_out[partition] = codec.pick(file.table, moved)
            pieces.insert(0, codec.pick(file.table, parted.stay))
            if not file.ours:
                plan.adopted.add(partition)
        pieces = [piece for piece in pieces if piece.num_rows] or pieces[:1]
        plan.contents[partition] = pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces)
    lost = [i for key, i in changes.changed.items() if key in late]
    if lost:
        plan.revisions.append(revised_rows(codec.pick(incoming.table, lost), ticker, incoming))
    return late


def _refuse_damage(
    dataset: Dataset, file: index.StoredFile, ticker: str, known: index.TickerIndex
) -> None:
    """Refuse to rewrite a file that has a row that is not what the index says.

    If something had written the file, its time or size would differ, and the index would have been
    made from it again. So the disk did it, and its row would pass for what the vendor sent.

    Raises:
        DamagedFileError: there is such a row.
    """
    for key, position in file.current_rows.items():
        partition, digest = known.rows.get(key, (None, ""))
        if partition == file.partition and digest != file.hashes[position]:
            raise DamagedFileError(
                f"{dataset.file(file.partition, ticker)} is damaged: a row in it is not what was "
                "written, though its size and time are as they were. Restore it from a copy, or "
                "remove it and load its ticker again; `polygon-fundamentals verify` lists all such "
                "files"
            )


def _late(
    stored: Mapping[int, index.StoredFile | None], known: index.TickerIndex, changes: Changes
) -> set[str]:
    """Return the changed and withdrawn keys whose row was observed after the answer was.

    A row observed in the future was stamped by a clock that was fast; it must not stand until the
    real time has passed it. The time of another tool's file proves no content later than the
    answer's, but that the file may hold what the answer could not.
    """
    gone = set(changes.withdrawn) | set(changes.changed)
    now = datetime.now(UTC)
    late: set[str] = set()
    for partition, file in stored.items():
        if file is None:
            continue
        moments = file.table["observed_at"].to_pylist()
        for position, key in enumerate(file.keys):
            if (
                key in gone
                and (file.ours or key not in changes.changed)
                and known.rows[key][0] == partition
                and changes.incoming.observed_at < moments[position] <= now
            ):
                late.add(key)
    return late


@dataclass(frozen=True)
class _Parted:
    """Positions of a file's rows: those that stay, those that become revisions with their event.

    `replaced` are the revised ones of which the answer has a new version.
    """

    stay: list[int]
    revised: dict[int, str]
    replaced: set[int]


def _parted(
    file: index.StoredFile,
    partition: int,
    known: index.TickerIndex,
    gone: set[str],
    changed: Mapping[str, int],
) -> _Parted:
    parted = _Parted([], {}, set())
    for position, key in enumerate(file.keys):
        ours, digest = known.rows.get(key, (None, ""))
        stands = ours == partition and file.current_rows[key] == position
        if stands and key not in gone:
            parted.stay.append(position)
        elif stands:
            parted.revised[position] = (
                revisions.SUPERSEDED if key in changed else revisions.WITHDRAWN
            )
            if key in changed:
                parted.replaced.add(position)
        elif file.hashes[position] != digest:
            parted.revised[position] = revisions.SUPERSEDED
    return parted
