"""What `serve-v1` serves of a lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class View:
    """What is served of a lake: `day` as it was known then, `differing` as in `export`."""

    root: str
    day: date | None = None
    differing: bool = False
    only_v1: bool = False

    @property
    def name(self) -> str:
        """A folder's name for the shelves of this view."""
        day = "now" if self.day is None else self.day.isoformat()
        return f"{day}{'.differing' * self.differing}{'.only-v1' * self.only_v1}"
