"""What the steps of a trial work with, and what they say of what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.settings import Settings


@dataclass(frozen=True)
class Where:
    """What a step works with: the lake, the vendor, the tickers, the vendor's day, a folder."""

    root: Path
    url: str
    key: str
    tickers: Sequence[str]
    day: date
    beside: Path

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.root)

    def loader(self) -> Loader:
        """Return what a load loads with; it does not wait long between tries."""
        quick = Settings(
            base_url=self.url, first_wait=0.001, longest_wait=0.01, longest_retry_after=0.01,
            attempts=6, read_timeout=5.0, deadline=10.0, largest_answer=1_000_000,
        )  # fmt: skip
        return Loader(Client(quick, self.key), self.lake)


@dataclass(frozen=True)
class Done:
    """What a step tells the model.

    `followed`: ticker → CIKs of what was loaded. `whole`: generation whose whole history was read
    anew, `window`: first and last day of filing that were read. `ok`: nothing of it failed.
    `published`: the build that is in the published tables now.
    """

    ok: bool = True
    text: str = ""
    followed: Mapping[str, Sequence[str]] | None = None
    whole: str = ""
    window: tuple[str, str] | None = None
    published: str = ""
