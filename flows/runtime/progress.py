"""Progress of a long run on standard error: a bar in a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from polygon_fundamentals.reports import UpsertCounts

LINE_EVERY_SECONDS = 10.0
STILL_EVERY_SECONDS = 3.0


@contextmanager
def still_running(what: str) -> Iterator[None]:
    """Say now and then on standard error that the body goes on; nothing where it is quick."""
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


class Progress:
    """Shows units done of units planned, the rate, and the time that remains."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done = self._failed = 0
        self._started = self._last_line = time.monotonic()
        self._bar: Bar | None = None
        if sys.stderr.isatty():
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("units · {task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(what, total=total, rate="")

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
        elif self._last_line > self._started:
            self._line()

    def advance(self, units: int, *, failed: int, rows: UpsertCounts) -> None:
        """Count units that ended, `failed` of them without their rows."""
        self._done += units
        self._failed += failed
        now = time.monotonic()
        rate = f"{self._done / max(now - self._started, 1e-9):.1f} units/s"
        if self._failed:
            rate += f" · {self._failed} failed"
        if self._bar:
            written = rows.rows_new + rows.rows_changed
            self._bar.update(self._task, advance=units, rate=f"{rate} · {written:,} rows written")
        elif now - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = now
            self._line()

    def _line(self) -> None:
        seconds = time.monotonic() - self._started
        rate = self._done / max(seconds, 1e-9)
        left = (self._total - self._done) / rate if rate else 0.0
        failed = f", {self._failed} failed" if self._failed else ""
        print(
            f"{self._what}: {self._done} of {self._total} units{failed}, {rate:.1f} units/s, "
            f"{seconds:.0f} s so far, about {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
