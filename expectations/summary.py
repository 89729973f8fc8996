"""What a run of parity was asked, and its result: for the pages, `--json` and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from expectations.outcome import Outcome
from expectations.plugin.base import JsonObject
from expectations.remedies import broken_rules
from polygon_fundamentals.parity.kinds import (
    ABSENT_KINDS,
    APART_KINDS,
    DIFFERENCE_KINDS,
    WITHOUT_V2_KINDS,
    Kind,
)
from polygon_fundamentals.parity.totals import Parity


@dataclass(frozen=True)
class Asked:
    """What a run was asked: its scope, its day, and notes on what it could not look up.

    `as_if`: `today` is not the day on which it runs.
    """

    run: str
    tickers_total: int
    sample: int | None
    seed: int | None
    named: bool
    today: date
    v1_is_frozen: bool
    notes: tuple[str, ...] = ()
    as_if: bool = False

    @property
    def what(self) -> str:
        """What was compared, in words."""
        what = "some tickers" if self.named else "the whole history"
        if self.sample is not None:
            what = f"a sample of {self.sample} (seed {self.seed})"
        return f"{what}, as if today were {self.today}" if self.as_if else what

    @property
    def is_whole(self) -> bool:
        """Whether the answer covers all of v1, as of the day of the run: it may be signed."""
        return self.sample is None and not self.named and not self.as_if


def make_summary(parity: Parity, asked: Asked, outcome: Outcome) -> JsonObject:
    """Return a run's result: the keys of `parity --json` that name no file."""
    counts = parity.counts
    listed_kinds = (*DIFFERENCE_KINDS, *WITHOUT_V2_KINDS)
    last = parity.v1_last_filing
    absent = parity.absent_tickers
    reach = f"v1's last filing is from {last}." if last else "v1 has no filing with a date."
    if asked.v1_is_frozen:
        reach = f"v1 is retired: this compares its history, up to its last filing on {last}."
    missing = parity.missing_periods
    listed = missing[["statement", "ticker", "timeframe"]].astype(str)
    ends = missing["period_end"].dt.strftime("%Y-%m-%d").astype(object)
    listed["period_end"] = ends.where(ends.notna(), None)  # JSON has no NaN
    present = parity.present_tickers
    return {
        "passed": outcome.passed,
        "compared": parity.compared,
        "matched": parity.matched,
        "differences": {k.value: counts[k] for k in listed_kinds if counts[k]},
        "counted_apart": {k.value: counts[k] for k in APART_KINDS},
        "missing_tickers": parity.missing_tickers,
        "absent_tickers": {
            kind: sorted(set(rows["ticker"])) for kind, rows in absent.groupby("kind")
        },
        "missing_periods": listed.to_dict("records"),
        "extra_periods": counts[Kind.EXTRA],
        "tickers_compared": len(present),
        "tickers_not_compared": _not_compared(parity, present),
        "tickers_total": asked.tickers_total,
        "sample": asked.sample,
        "seed": asked.seed if asked.sample is not None else None,
        "v1_last_filing": last.isoformat() if last else None,
        "v1_is_frozen": asked.v1_is_frozen,
        "reach": reach,
        "rules": len(outcome.rules),
        "rules_broken": [
            {
                "rule": r.title,
                "detail": r.detail,
                "statement": r.where,
                "count": r.broken,
                "verdict": r.verdict,
                "remedy": broken.remedy,
            }
            for broken in broken_rules(outcome)
            for r in broken.rules
        ],
        "scope": asked.what,
        "whole": asked.is_whole,
        "day": asked.today.isoformat(),
        "periods": sum(r.periods for r in parity.results),
        "missing_periods_total": len(missing),
    }


def _not_compared(parity: Parity, present: set[str]) -> dict[str, int]:
    """Return how many tickers are in no statement of v2, by what became of them.

    A ticker with several fates in the different statements counts once, by the worst.
    """
    absent = parity.absent_tickers
    numbers: dict[str, int] = {}
    known = present.copy()
    for kind in ABSENT_KINDS:
        names = set(absent.loc[absent["kind"] == kind.value, "ticker"]) - known
        known |= names
        if names:
            numbers[kind.value] = len(names)
    return numbers
