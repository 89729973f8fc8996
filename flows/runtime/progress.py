"""Progress of a long run on standard error: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Column

from polygon_fundamentals.reports import UpsertCounts

LINE_EVERY_SECONDS = 10.0
STILL_EVERY_SECONDS = 3.0


@contextmanager
def still_running(what: str) -> Iterator[None]:
    """Print to standard error every few seconds that the body still runs."""
    ended, started = threading.Event(), time.monotonic()

    def tell() -> None:
        while not ended.wait(STILL_EVERY_SECONDS):
            seconds = time.monotonic() - started
            print(f"{what}, {seconds:.0f} s so far", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, name="still running", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


@dataclass
class _Part:
    """How far one generation is; `began` is when its first units were submitted."""

    name: str
    total: int
    done: int = 0
    failed: int = 0
    began: float | None = None
    ended: float | None = None
    bar: TaskID | None = None

    def rate(self, now: float) -> float:
        """Return the units a second since the part began."""
        return self.done / max(now - (self.began or now), 1e-9) if self.done else 0.0

    def line(self, now: float) -> str:
        """Return the part in a line."""
        if self.began is None:
            return f"{self.name}: waiting ({self.total} units)"
        now = self.ended or now
        rate = self.rate(now)
        left = f", about {(self.total - self.done) / rate:.0f} s left" if rate else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{self.name}: {self.done} of {self.total} units{failed}, {rate:.1f} units/s, "
            f"{now - self.began:.0f} s so far{left}"
        )


# In a terminal narrower than that the times would be cut where the rows stood too.
WIDE = 100


class Progress:
    """Shows each part's units done of units planned, the rate, and the time that remains."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._parts = {name: _Part(name, total) for name, total in totals.items()}
        self._started = self._printed_at = time.monotonic()
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            # Only the bar itself gives way in a narrow terminal.
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TextColumn("units {task.fields[rate]}"),
                TimeElapsedColumn(table_column=Column(no_wrap=True)),
                TextColumn("·"),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                TextColumn("left"),
                console=Console(stderr=True),
            )
            for part in self._parts.values():
                part.bar = self._bar.add_task(part.name, total=part.total, rate="· waits")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif self._printed_at > self._started:
            self._lines()

    def begin(self, name: str) -> None:
        """Start the clock of a part; before that it waits."""
        part = self._parts[name]
        part.began = time.monotonic()
        if self._bar and part.bar is not None:
            self._bar.reset(part.bar, rate="")

    def advance(self, name: str, units: int, *, failed: int, rows: UpsertCounts) -> None:
        """Count units of a part that ended, `failed` of them without their rows."""
        part, now = self._parts[name], time.monotonic()
        part.done += units
        part.failed += failed
        if part.done >= part.total:
            part.ended = now
        if self._bar and part.bar is not None:
            written = rows.rows_new + rows.rows_changed
            rate = f"· {part.rate(now):.1f}/s"
            if self._bar.console.width >= WIDE:
                rate += f" · {written:,} rows written"
            if part.failed:
                rate += f" · {part.failed} failed"
            self._bar.update(part.bar, advance=units, rate=rate)
        elif now - self._printed_at >= LINE_EVERY_SECONDS:
            self._printed_at = now
            self._lines()

    def _lines(self) -> None:
        now = time.monotonic()
        for part in self._parts.values():
            print(part.line(now), file=sys.stderr, flush=True)
