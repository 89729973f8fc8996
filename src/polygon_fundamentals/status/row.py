"""One row of the status."""

from __future__ import annotations

from dataclasses import dataclass

# The kind of the rows on performance, which stand last.
TARGET = "target"
# The name of the row on what readers see.
POINTER = "pointer"


@dataclass(frozen=True)
class Row:
    """One row of the status.

    `ok` is None where the row is not judged; `reason` then says what is missing. `remedy` names
    the next command. `kind` says what the row is about, for events.
    """

    name: str
    ok: bool | None
    reason: str
    kind: str = "figure"
    remedy: str = ""

    @property
    def detail(self) -> str:
        """The reason, and the next command where there is one."""
        return "; ".join(filter(None, (self.reason, self.remedy)))
