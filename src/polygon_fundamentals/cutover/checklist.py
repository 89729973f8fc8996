"""The checklist before a cutover: every line with its evidence and how to meet it.

A line that cannot be judged is not met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import checklist_items as items
from polygon_fundamentals.cutover import companions, rehearsal, sign_offs
from polygon_fundamentals.cutover.checklist_items import SHOWN, Case, Verdict
from polygon_fundamentals.cutover.journal import Clock, now
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.errors import FundamentalsError, as_fundamentals_error
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.ledger.queries import EVIDENCE_DAYS
from polygon_fundamentals.ledger.v1_endpoint import LEDGER_DAYS, v1_endpoint

Line = Callable[[Case], Verdict]
# Every line, in order.
LINES: dict[str, Line] = {
    "parallel runs": items.parallel_runs_item,
    "v2 runs": items.v2_runs_item,
    "parity": items.parity_item,
    "run time": items.run_time_item,
    "storage": items.storage_item,
    "silver": items.silver_item,
    "drill": items.drill_item,
    "sign-offs": items.sign_offs_item,
    "only our writers": items.only_ours_item,
    "v1 checksums": items.checksums_item,
    "other data": items.other_data_item,
    "rehearsal": items.rehearsal_item,
}
_WHILE_V1_IS_LIVE = {"parallel runs", "run time", "only our writers"}
_ONCE_V1_IS_RETIRED = {"v2 runs", "v1 checksums"}


@dataclass(frozen=True)
class ChecklistItem:
    """One line as judged, see `Verdict`: unmet where it is not judged but `required`."""

    name: str
    ok: bool | None
    detail: str
    remedy: str
    required: bool = True


@dataclass(frozen=True)
class Checklist:
    """Every line as judged, in order."""

    items: Sequence[ChecklistItem] = ()

    @property
    def unmet(self) -> list[str]:
        """The names of the lines that are not met."""
        return [
            item.name for item in self.items if item.ok is False or (not item.ok and item.required)
        ]

    def sentence(self) -> str:
        """Return in words what is unmet."""
        if self.unmet:
            return f"unmet: {', '.join(self.unmet)}"
        left = ", ".join(self.not_judged)
        return f"every line is met, but {left} is not judged" if left else "every line is met"

    @property
    def not_judged(self) -> list[str]:
        """The names of the lines that could not be judged."""
        return [item.name for item in self.items if item.ok is None]


def evaluate_checklist(
    lake: Lake,
    thresholds: Thresholds,
    contacts: sign_offs.Contacts,
    *,
    v1: Literal["live", "retired"] | None = None,
    clock: Clock = now,
) -> Checklist:
    """Return every line of the checklist. Nothing is written.

    `v1` says whether its endpoint still answers; None: what the ledger knows of it.
    """
    at = clock()
    everything, damaged = ledger.read_entries(lake, at - LEDGER_DAYS)
    everything = [entry for entry in everything if entry.started <= at]
    retired = v1_endpoint(everything, at).retired if v1 is None else v1 == "retired"
    entries = [entry for entry in everything if entry.started >= at - EVIDENCE_DAYS]
    case = Case(lake, entries, thresholds, contacts, at, retired)
    left_out = set(_WHILE_V1_IS_LIVE if retired else _ONCE_V1_IS_RETIRED)
    if not companions.all_companions(lake):
        left_out.add("other data")
    if rehearsal.rehearsal_of(lake) is None:
        left_out.add("rehearsal")
    judged = [
        ChecklistItem(name, *_judged(line, case))
        for name, line in LINES.items()
        if name not in left_out
    ]
    if damaged:
        detail = f"cannot be read: {', '.join(path.name for path in damaged[:SHOWN])}"
        judged.append(ChecklistItem("ledger", False, detail, "restore or remove these files"))
    return Checklist(judged)


def _judged(line: Line, case: Case) -> Verdict:
    try:
        return line(case)
    except (FundamentalsError, OSError, KeyError, TypeError, ValueError) as error:
        known = isinstance(error, FundamentalsError | OSError)
        why = str(as_fundamentals_error(error)) if known else f"{type(error).__name__}: {error}"  # type: ignore[arg-type]
        return Verdict(None, f"cannot be judged: {why}", "fix what the evidence names")
