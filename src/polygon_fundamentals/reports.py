"""Reports that add up: what was asked of the API, what an upsert did, and what a load did.

A task, a generation, a run and all shards of a run report with the same `LoadReport`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from polygon_fundamentals.errors import FundamentalsError, class_of, exit_code_of


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 file`, `2,000 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class Summable:
    """A frozen dataclass that is added to another of its kind field by field.

    Numbers add up, tuples and sets join; for other types the last value that is not None is kept.
    """

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(**{n: _joined(getattr(self, n), getattr(other, n)) for n in names})


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, frozenset):
        return first | second
    if isinstance(first, int | float | tuple):
        return first + second
    return second or first


@dataclass(frozen=True)
class RequestCounts(Summable):
    """What a client asked of the API; `sunset` is the day that an answer announced."""

    requests: int = 0
    retries: int = 0
    brownouts: int = 0
    sunset: str | None = None
    body_bytes: int = 0


@dataclass(frozen=True)
class UpsertCounts(Summable):
    """What a commit did; rows are counted once per ticker file that holds them.

    `rows_withheld`, of `tickers_withheld`, would have been withdrawn, or given way to an earlier
    filing, had the answer not lacked too much of a ticker.
    """

    rows_received: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0
    rows_withdrawn: int = 0
    rows_withheld: int = 0
    bytes_written: int = 0
    files_written: int = 0
    tickers_withheld: frozenset[str] = frozenset()


@dataclass(frozen=True)
class UnitFailure:
    """A unit (one statement of one ticker) that failed; `error` is the name of the class."""

    ticker: str
    statement: str
    reason: str
    error: str = ""


@dataclass(frozen=True)
class LoadReport(UpsertCounts, RequestCounts):
    """What a load did. Reports add up; `seconds` are then the longest.

    `tickers_without_rows` gave no row for any of their statements. The tickers that did are
    remembered for the sum alone, and are not part of the JSON. Beside v2, a retired v1 is
    `frozen_since` a day, which is no failure.
    """

    units: int = 0
    failed: tuple[UnitFailure, ...] = ()
    rows_unfollowed: int = 0
    seconds: float = 0.0
    units_resumed: int = 0
    tickers_without_rows: tuple[str, ...] = ()
    tickers_with_rows: frozenset[str] = frozenset()
    frozen_since: str | None = None

    def __add__(self, other: Self) -> Self:
        total = super().__add__(other)
        nothing = {*total.tickers_without_rows} - total.tickers_with_rows
        seconds = max(self.seconds, other.seconds)
        return replace(total, seconds=seconds, tickers_without_rows=tuple(sorted(nothing)))

    @classmethod
    def of(cls, counts: UpsertCounts | RequestCounts, **more: Any) -> Self:
        """Return a report of some counts."""
        return cls(**vars(counts), **more)

    @classmethod
    def of_failure(cls, units: Iterable[tuple[str, str]], error: FundamentalsError) -> Self:
        """Return the report of units that all failed with one error."""
        reason, kind = str(error), class_of(error)
        failed = tuple(UnitFailure(ticker, name, reason, kind) for ticker, name in units)
        return cls(units=len(failed), failed=failed)

    @property
    def ok(self) -> bool | None:
        """Whether nothing is missing and nothing was withheld; None of a frozen v1 left alone."""
        if self.frozen_since and not self.failed:
            return None
        return not self.failed and not self.rows_withheld

    @property
    def exit_code(self) -> int:
        """The command's exit code: the worst failure's, 1 where rows were withheld, else 0."""
        withheld = 1 if self.rows_withheld else 0
        return max((exit_code_of(failure.error) for failure in self.failed), default=withheld)

    def as_json(self) -> dict[str, object]:
        """Return the generation's part of the JSON and of the ledger entry."""
        report = {**asdict(self), "seconds": round(self.seconds, 3), "ok": self.ok}
        report["tickers_withheld"] = sorted(self.tickers_withheld)
        del report["tickers_with_rows"]
        return report


@dataclass(frozen=True)
class WindowReport(LoadReport):
    """What a daily update did with one generation.

    `window` holds the first and the last day (`from`, `to`). An archived v1 is `archived_since`
    the day it was archived, which is no failure. Of `statements_without_rows` the window held no
    row at all.
    """

    window: Mapping[str, str] = field(default_factory=dict)
    statements_without_rows: tuple[str, ...] = ()
    periods_asked_again: int = 0
    fourths_left: int = 0
    archived_since: str | None = None

    @property
    def ok(self) -> bool | None:
        """Whether nothing is missing; None where v1 is frozen or archived, and was left alone."""
        if not self.failed and (self.frozen_since or self.archived_since):
            return None
        return not self.failed
