"""Rows of v1 that an earlier version took in, with what tools add counted as content.

That version put columns such as `downloaded_at` into `unmapped`, which is hashed. Rows that were
downloaded twice, or read from a file and then loaded, became revisions of one another, observed on
the day of our load. Here they become one row again, observed when it was first downloaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from polygon_fundamentals.datasets.keys import content_hashes, record_keys
from polygon_fundamentals.datasets.schemas import MOMENT, schema
from polygon_fundamentals.lake import codec, index, revisions, their_form
from polygon_fundamentals.lake.changes import Plan
from polygon_fundamentals.lake.commit import carry_out, hold_bucket
from polygon_fundamentals.lake.file_names import BUCKETS, bucket_of
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.normalise.legacy import without_additions
from polygon_fundamentals.statements import Generation, Statement


@dataclass(frozen=True)
class Mended:
    """How many rows lost what a tool had added, and how many revisions were false."""

    rows: int = 0
    revisions: int = 0

    def sentence(self) -> str:
        """Return it in one line."""
        return (
            f"{self.rows:,} rows of v1 and {self.revisions:,} of their revisions differed in what "
            "a tool adds to a row alone; they are set right"
        )


def mend_older_rows(lake: Lake) -> Mended | None:
    """Correct v1's rows, once, in a lake that an earlier version wrote; None: nothing to correct.

    It is done before the lake's form is decided, which is noted in `ops/v1_form.json`: killed
    before that, it is done again, and finds what it has mended in order.

    Raises:
        DamagedFileError, OSError: a file cannot be read or written.
    """
    datasets = [lake.dataset(Generation.V1, statement) for statement in Statement]
    earlier = any((lake.ops / "index" / dataset.name).is_dir() for dataset in datasets)
    if their_form.form_file(lake).exists() or not earlier:
        return None
    rows = revised = 0
    for dataset in datasets:
        by_bucket: dict[int, list[str]] = {}
        for ticker in dataset.partitions_by_ticker():
            by_bucket.setdefault(bucket_of(ticker), []).append(ticker)
        for bucket in range(BUCKETS):
            for ticker in sorted(by_bucket.get(bucket, ())):
                mended = _mend(dataset, bucket, ticker)
                rows, revised = rows + mended.rows, revised + mended.revisions
    their_form.keeps_form(datasets[0])
    return Mended(rows, revised) if rows or revised else None


def _mend(dataset: Dataset, bucket: int, ticker: str) -> Mended:
    with hold_bucket(dataset, bucket) as unfinished:
        partitions = dataset.partitions_of([ticker])[ticker]
        known = index.load(dataset, ticker, partitions | unfinished.get(ticker, set()))
        stored = {p: index.read_file(dataset, p, ticker) for p in sorted(partitions)}
        ours = {p: file for p, file in stored.items() if file is not None and file.ours}
        rows = _Rows(ours)
        past, of_tools = without_additions(revisions.read(dataset, ticker))
        stay, seen = _true_revisions(dataset, past, of_tools, rows)
        plan, changed = Plan(ticker, known), 0
        for partition, table in rows.observed_first():
            if not table.equals(ours[partition].table):
                changed += table.num_rows
                hashes = dict(zip(ours[partition].keys, content_hashes(table), strict=True))
                plan.contents[partition], plan.hashes[partition] = table, hashes
        # The rows first: killed in between, the revisions still say when they were seen.
        carry_out(dataset, bucket, [plan], Counter(), unfinished)
        if len(stay) < past.num_rows or any(of_tools):
            _write_revisions(dataset, ticker, past, stay, seen)
    return Mended(changed, past.num_rows - len(stay))


class _Rows:
    """The rows of our files of a ticker without what tools added, by record key."""

    def __init__(self, files: dict[int, index.StoredFile]) -> None:
        self._tables: dict[int, pa.Table] = {}
        self._places: dict[int, list[str]] = {}
        self.versions: dict[str, _Version] = {}
        for partition, file in files.items():
            table, of_tools = without_additions(file.table)
            self._tables[partition], self._places[partition] = table, file.keys
            hashes, moments = content_hashes(table), table["observed_at"].to_pylist()
            for i, key in enumerate(file.keys):
                self.versions[key] = _Version(hashes[i], moments[i], of_tools[i])

    def observed_first(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield each file's rows with the moments at which they were first observed."""
        for partition, table in self._tables.items():
            moments = [self.versions[key].moment for key in self._places[partition]]
            yield partition, _with_moments(table, moments)


@dataclass
class _Version:
    """One content of a record: since when it was seen, and whether a tool had added to it."""

    content: str
    moment: datetime
    of_tool: bool
    position: int = -1

    def absorb(self, earlier: _Version) -> None:
        """Take the moment of a version that was none."""
        self.moment = min(self.moment, earlier.moment)
        self.of_tool = self.of_tool or earlier.of_tool


def _true_revisions(
    dataset: Dataset, past: pa.Table, of_tools: Sequence[bool], rows: _Rows
) -> tuple[list[int], dict[int, datetime]]:
    """Return the positions of revisions whose content was another's, and since when each was seen.

    The moments of `rows` become those at which their content was first seen.
    """
    plain = past.select(schema(dataset.generation, dataset.statement).names)
    keys = record_keys(plain, dataset.generation) if past.num_rows else []
    hashes = content_hashes(plain) if keys else []
    moments, ends = (past[name].to_pylist() for name in ("observed_at", "superseded_at"))
    events = past["event"].to_pylist()
    by_key: dict[str, list[int]] = {}
    for position in sorted(range(len(keys)), key=lambda i: ends[i]):
        by_key.setdefault(keys[position], []).append(position)
    stay: dict[int, datetime] = {}
    for key, positions in by_key.items():
        versions = list[_Version]()
        for i in positions:
            version = _Version(hashes[i], moments[i], of_tools[i], i)
            # One file held the row several times, and one load superseded them all.
            twin = next((v for v in versions if v.content == version.content and v.of_tool
                         and ends[v.position] == ends[i]), None)  # fmt: skip
            if twin is not None and version.of_tool:
                twin.absorb(version)
            else:
                versions.append(version)
        current = rows.versions.get(key)
        for version, successor in zip(versions, [*versions[1:], current], strict=True):
            is_alike = successor is not None and successor.content == version.content
            by_tool = version.of_tool or (successor is not None and successor.of_tool)
            superseded = events[version.position] == revisions.SUPERSEDED
            if successor is not None and is_alike and by_tool and superseded:
                successor.absorb(version)
            else:
                stay[version.position] = version.moment
    return sorted(stay), stay


def _write_revisions(
    dataset: Dataset,
    ticker: str,
    past: pa.Table,
    stay: Sequence[int],
    seen: Mapping[int, datetime],
) -> None:
    path = dataset.revisions_file(ticker)
    if not stay:
        path.unlink(missing_ok=True)
        return
    table = _with_moments(codec.pick(past, stay), [seen[i] for i in stay])
    revisions.write(dataset, ticker, table)


def _with_moments(table: pa.Table, moments: Sequence[datetime]) -> pa.Table:
    place = table.schema.get_field_index("observed_at")
    return table.set_column(place, table.schema.field(place), pa.array(moments, MOMENT))
