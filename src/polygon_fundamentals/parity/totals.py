"""The totals of a comparison. Whether they are good enough, the checkpoint decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import pandas as pd

from polygon_fundamentals.parity.kinds import BUDGETED_KINDS, Kind
from polygon_fundamentals.parity.tolerances import Accepted
from polygon_fundamentals.statements import Statement

# States of a ticker or period that are not findings: it is in both; its company is not in v2 at all
# (the ticker has the finding); v2 never has that timeframe.
PRESENT, COMPANY_ABSENT, NEVER_IN_V2 = "present", "company_absent", "never_in_v2"


@dataclass(frozen=True)
class Totals:
    """The totals of comparing one statement.

    `compared` values have a number on both sides; `counts` are the findings that are no match, by
    kind. Lines that only one generation knows are counted in `by_field` as not comparable.
    `periods` is the number of those that both generations have. `tickers`, `missing_periods` and
    `extra_periods` as in `StatementParity`; `absent_tickers` are the tickers that are not present.
    """

    statement: Statement
    periods: int
    compared: int
    matched: int
    counts: Mapping[Kind, int]
    by_field: pd.DataFrame
    tickers: pd.DataFrame
    absent_tickers: pd.DataFrame
    missing_periods: pd.DataFrame
    extra_periods: pd.DataFrame
    v1_last_filing: date | None
    unused_acceptances: tuple[Accepted, ...]

    @property
    def all_counts(self) -> dict[Kind, int]:
        """The findings of every kind that has a budget, tickers and periods included."""
        tickers = Counter(self.absent_tickers["kind"])
        return {
            **self.counts,
            Kind.DELISTED: tickers[Kind.DELISTED.value],
            Kind.RENAMED: tickers[Kind.RENAMED.value],
            Kind.MISSING: tickers[Kind.MISSING.value] + len(self.missing_periods),
            Kind.EXTRA: len(self.extra_periods),
        }


@dataclass(frozen=True)
class Parity:
    """The results of several statements, or of several batches of companies, together."""

    results: tuple[Totals, ...]

    @property
    def compared(self) -> int:
        """The number of values that both generations have."""
        return sum(r.compared for r in self.results)

    @property
    def matched(self) -> int:
        """The number of compared values that are equal."""
        return sum(r.matched for r in self.results)

    @property
    def counts(self) -> dict[Kind, int]:
        """The findings by kind, those of the kinds that have a budget."""
        total: Counter[Kind] = Counter()
        for result in self.results:
            total.update(result.all_counts)
        return {kind: total[kind] for kind in BUDGETED_KINDS}

    @property
    def by_field(self) -> pd.DataFrame:
        """The findings by statement and field."""
        frame = self._together("by_field")
        names = ["statement", "v1_field", "v2_field", "relation"]
        return frame.groupby(names, sort=False, dropna=False, as_index=False).sum()

    @property
    def absent_tickers(self) -> pd.DataFrame:
        """The tickers that v2 lacks, with the statements in which it lacks them."""
        frames = [r.absent_tickers.assign(statement=r.statement.value) for r in self.results]
        return pd.concat(frames, ignore_index=True)

    @property
    def present_tickers(self) -> set[str]:
        """The tickers of v1 that v2 has in any statement: those that are compared."""
        frames = (r.tickers for r in self.results)
        return {t for frame in frames for t in frame.loc[frame["kind"] == PRESENT, "ticker"]}

    @property
    def missing_tickers(self) -> list[str]:
        """The tickers that v2 should have and has not, in any statement."""
        absent = self.absent_tickers
        return sorted(set(absent.loc[absent["kind"] == Kind.MISSING.value, "ticker"]))

    @property
    def missing_periods(self) -> pd.DataFrame:
        """The periods of v1 that v2 lacks."""
        return self._together("missing_periods")

    @property
    def extra_periods(self) -> pd.DataFrame:
        """The periods of v2 that v1 lacks."""
        return self._together("extra_periods")

    @property
    def v1_last_filing(self) -> date | None:
        """The last filing that v1 holds: parity says nothing of later ones."""
        return max((r.v1_last_filing for r in self.results if r.v1_last_filing), default=None)

    def _together(self, name: str) -> pd.DataFrame:
        frames: list[pd.DataFrame] = [getattr(r, name) for r in self.results]
        return pd.concat(frames, ignore_index=True)


def merge(results: Iterable[Totals]) -> Parity:
    """Return the results together. Raises ValueError if there are none."""
    together = tuple(results)
    if not together:
        raise ValueError("no results to merge")
    return Parity(together)
