"""One state of what is served: shelves that are never changed, only replaced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from polygon_fundamentals.v1_view.query import Records
from polygon_fundamentals.v1_view.shelf_file import Shelf

_NUMBERS = count(1)
_MAX_ORDERED = 512


class NotReadyError(Exception):
    """What was asked for is still being read from the lake."""


class MovedError(Exception):
    """The lake changed since the state was taken: a later one will be there in a moment."""


class UnreadableError(Exception):
    """A file of the lake behind what was asked for cannot be read."""


@dataclass(frozen=True)
class State:
    """The shelves of one moment: ticker → shelf; `tickers` are all that the lake has."""

    shelves: Mapping[str, Shelf] = field(default_factory=dict)
    tickers: frozenset[str] = frozenset()
    number: int = field(default_factory=lambda: next(_NUMBERS))

    @cached_property
    def is_complete(self) -> bool:
        """Whether every ticker is on a shelf."""
        return len(self.shelves) == len(self.tickers) and self.tickers <= self.shelves.keys()

    def has_shelf(self, company: Collection[str]) -> bool:
        """Return whether the tickers of a company stand on one shelf, and no others with them."""
        shelves = [self.shelves.get(ticker) for ticker in company]
        first = shelves[0]
        return (
            first is not None
            and len(first.digests) == len(shelves)
            and all(shelf is first for shelf in shelves)
        )

    def with_shelf_mates(self, tickers: Collection[str]) -> set[str]:
        """Return the tickers and all that stand on a shelf with one of them."""
        shelves = (shelf for t in tickers if (shelf := self.shelves.get(t)) is not None)
        return set(tickers).union(*(shelf.digests for shelf in shelves))

    @cached_property
    def is_full(self) -> bool:
        """Whether the text of every record is on its shelf."""
        return all(shelf.is_full for shelf in self.distinct)

    @cached_property
    def distinct(self) -> tuple[Shelf, ...]:
        """Each shelf once."""
        return tuple({shelf.number: shelf for shelf in self.shelves.values()}.values())

    @cached_property
    def everything(self) -> Records:
        """All records. Raises UnreadableError if some cannot be read."""
        return Records(record for shelf in self.distinct for record in _readable(shelf).records)

    @cached_property
    def _by_cik(self) -> Mapping[str, Shelf]:
        """CIK → its shelf: companies that share a ticker stand on one."""
        return {cik: shelf for shelf in self.distinct for cik in shelf.ciks}

    @cached_property
    def _is_readable(self) -> bool:
        return all(shelf.error is None for shelf in self.distinct)

    def number_of(self, cik: str) -> int:
        """Return the number of the state of what `among` gives for a CIK."""
        shelf = self._by_cik.get(cik)
        if shelf is not None:
            return -shelf.number
        return 0 if self._is_readable else self.number

    def among(self, cik: str) -> Records:
        """Return records among which those of a CIK are.

        Raises:
            UnreadableError: they may be among those that cannot be read.
        """
        shelf = self._by_cik.get(cik)
        if shelf is not None:
            return records_of(shelf)
        return Records(()) if self._is_readable else self.everything


def _readable(shelf: Shelf) -> Shelf:
    if shelf.error is not None:
        raise UnreadableError(shelf.error)
    return shelf


_ORDERED: dict[int, Records] = {}


def records_of(shelf: Shelf) -> Records:
    """Return the records of a shelf, in whose orders earlier requests may have put them.

    Raises:
        UnreadableError: they cannot be read.
    """
    records = _ORDERED.get(shelf.number)
    if records is None:
        if len(_ORDERED) > _MAX_ORDERED:
            _ORDERED.clear()
        records = _ORDERED[shelf.number] = Records(_readable(shelf).records)
    return records
