"""The first and the last filing date of a dataset, from the files of two months alone."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import TypedDict

import pyarrow.compute as pc

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.file_names import UNDATED
from polygon_fundamentals.lake.listing import Stamp
from polygon_fundamentals.lake.paths import Dataset

Files = dict[str, Stamp]  # ticker → its file, in one partition


class Edge(TypedDict):
    """The first or the last filing date, with the files of its month: their times and sizes."""

    month: int
    files: Files
    day: str | None


def filing_edges(
    dataset: Dataset,
    files_in: Callable[[str], Files],
    partitions: Iterable[str],
    known: Mapping[str, Edge],
) -> dict[str, Edge]:
    """Return `first` and `last` filing date with the files of their months.

    `files_in` tells the files of a partition, `partitions` are those that have any. The month is in
    the path; the day is read from the files of the first and of the last month alone, and only
    where one of them changed.
    """
    months = set(map(int, partitions)) - {UNDATED}
    edges: dict[str, Edge] = {}
    for name, month in (("first", min(months, default=None)), ("last", max(months, default=None))):
        if month is None:
            continue
        signs = files_in(str(month))
        before = known.get(name)
        if before is not None and before["month"] == month and before["files"] == signs:
            edges[name] = before
            continue
        same = before["files"] if before is not None and before["month"] == month else {}
        gone = bool(same.keys() - signs.keys()) or any(same[t] != signs[t] for t in same)
        todo = [t for t in signs if gone or t not in same]
        days = []
        if before is not None and before["day"] is not None and same and not gone:
            days.append(before["day"])
        days += _days(dataset, month, todo, last=name == "last")
        pick = max if name == "last" else min
        edges[name] = {"month": month, "files": signs, "day": pick(days, default=None)}
    return edges


def _days(dataset: Dataset, month: int, tickers: Sequence[str], *, last: bool) -> list[str]:
    """Return filing dates (YYYY-MM-DD) among which the first or last of a month is."""
    year, number = divmod(month, 100)
    limit = date(year, number, calendar.monthrange(year, number)[1] if last else 1).isoformat()
    dates: list[str] = []
    for ticker in tickers:
        try:
            table, _ = codec.read(dataset.file(month, ticker), dataset, ticker, ["filing_date"])
        except (FileNotFoundError, DamagedFileError):
            continue
        days = pc.min_max(table["filing_date"])
        value = days["max" if last else "min"].as_py()
        if value is not None:
            dates.append(value.isoformat())
            if dates[-1] == limit:
                break
    return dates
