"""An answer on its way into a ticker's files, and what those files will become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from polygon_fundamentals.lake import codec, index, revisions
from polygon_fundamentals.lake.one_row_files import NewRow, OneRowFiles


class Scope(StrEnum):
    """What an answer says about the records that it does not hold."""

    WINDOW = "window"  # nothing: a date window, a filter, a partial answer
    PERIODS = "periods"  # of the periods in it, these labels are all there are
    HISTORY = "history"  # the same, and what it lacks of its companies shows whether it is partial
    COMPANIES = "companies"  # of the companies in it, these records are all there are
    ACCEPTED = "accepted"  # the same, however many records that withdraws


@dataclass(frozen=True)
class Incoming:
    """The rows of an answer for one dataset.

    `rows`: ticker → positions in `table`. `timeframes`: those asked for, in the generation's own
    spelling; with `Scope.HISTORY` and `COMPANIES` only they are complete. `raw`: v1's records as
    they were sent, one for each row of `table`, for files in another tool's form. `files`: what
    makes a file of one of its rows, where a dataset has no nested columns. `is_partial` says that
    it lacks periods of so many tickers that no period is withdrawn and no earlier filing is taken.
    `ends`: with `Scope.PERIODS`, the first and the last period end of the request, if it names
    them; between the two the answer has every end of its periods.
    """

    table: pa.Table
    rows: Mapping[str, Sequence[int]]
    scope: Scope
    timeframes: frozenset[str]
    observed_at: datetime
    raw: Sequence[Mapping[str, Any]] | None = None
    files: OneRowFiles | None = None
    is_partial: bool = False
    ends: tuple[str, str] | None = None

    def has_asked_for(self, end: str) -> bool:
        """Return whether the request names this period end."""
        return self.ends is not None and self.ends[0] <= end <= self.ends[1]


@dataclass(frozen=True)
class RowIds:
    """What identifies the rows of an answer, in their order.

    The record key, the hash of the content, and the month of filing (the partition).
    """

    keys: Sequence[str] = ()
    hashes: Sequence[str] = ()
    months: Sequence[int] = ()


@dataclass
class Plan:
    """What one ticker's files will become."""

    ticker: str
    index: index.TickerIndex
    # An empty table: remove the file.
    contents: dict[int, pa.Table | NewRow] = field(default_factory=dict)
    hashes: dict[int, dict[str, str]] = field(default_factory=dict)
    revisions: list[pa.Table] = field(default_factory=list)
    arrivals: set[int] = field(default_factory=set)
    moved_out: dict[int, pa.Table] = field(default_factory=dict)
    adopted: set[int] = field(default_factory=set)
    # (Partition, with `moved_out`) → bytes of a file that stays in another tool's form.
    theirs: dict[tuple[int, bool], bytes] = field(default_factory=dict)
    # Partition → positions in the answer, of files that will hold nothing else.
    fresh: dict[int, list[int]] = field(default_factory=dict)

    def keeps_loose(self, partition: int) -> bool:
        """Return whether a file is kept although none of our rows remain in it."""
        return bool(self.theirs.get((partition, False)))


def own_key(key: str, ticker: str) -> str:
    """Return the key within a ticker's file: a record without a CIK is named by the ticker."""
    return f"ticker:{ticker}{key[7:]}" if key.startswith("ticker:|") else key


def revised_rows(
    table: pa.Table, ticker: str, incoming: Incoming, events: list[str] | None = None
) -> pa.Table:
    """Return rows as revisions: superseded, unless `events` says otherwise of each."""
    return revisions.as_revisions(
        codec.with_ticker(table, ticker),
        events or [revisions.SUPERSEDED] * table.num_rows,
        incoming.observed_at,
    )
