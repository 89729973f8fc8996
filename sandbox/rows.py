"""A row as the endpoints select and sort it, its content rendered only when asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from types import SimpleNamespace

from .companies import Profile


@dataclass(slots=True, eq=False)
class Row:
    """One record of either generation: what it is filtered by, and how to render it.

    `filing_date` is None on v1's derived and trailing records. `variant` names what is odd
    about the row, empty for an ordinary one.
    """

    owner: Profile
    tickers: tuple[str, ...]
    statement: str
    timeframe: str
    index: int
    period_end: str
    filing_date: str | None
    fiscal_year: int
    fiscal_quarter: int
    variant: str
    render: Callable[[Row], bytes]
    cik: str = field(init=False)
    _data: bytes | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.cik = self.owner.cik

    @property
    def data(self) -> bytes:
        """The record as JSON, rendered at the first call and kept."""
        if self._data is None:
            self._data = self.render(self)
        return self._data

    def forget(self) -> None:
        """Drop the rendered content; the next call renders it anew."""
        self._data = None


class Entry(SimpleNamespace):
    """A row of a side endpoint; an attribute that is None is left out of its JSON."""

    @property
    def data(self) -> bytes:
        """The entry as JSON."""
        record = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(record, separators=(",", ":")).encode()


def iso(ordinal: int) -> str:
    """Return a day's ordinal as YYYY-MM-DD."""
    return date.fromordinal(ordinal).isoformat()
