"""The figures of the readers' checks, on v1 and on v2, for the review page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from polygon_fundamentals.cutover.reader_checks import figures_file
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.paths import Lake

FIGURES_SHOWN = 200


@dataclass(frozen=True)
class ReaderFigures:
    """What the last drill or cutover compared; `rows` as shown, those that differ first.

    `met` says whether as many figures agree as each check requires.
    """

    at: datetime
    rows: Sequence[Mapping[str, str]]
    total: int
    differ: int
    met: bool

    @property
    def day(self) -> str:
        """When they were compared, as text."""
        return f"{self.at:%Y-%m-%d %H:%M} UTC"


def read_figures(lake: Lake) -> ReaderFigures | None:
    """Return the figures of the lake; None where no drill or cutover has compared any.

    Raises:
        DamagedFileError: their file cannot be read.
    """
    path = figures_file(lake)
    try:
        content = orjson.loads(path.read_bytes())
        figures = sorted(content["figures"], key=lambda figure: bool(figure["agrees"]))
        return ReaderFigures(
            datetime.fromisoformat(content["at"]),
            [_row(figure) for figure in figures[:FIGURES_SHOWN]],
            len(figures),
            differ := sum(not figure["agrees"] for figure in figures),
            bool(content.get("met", not differ)),
        )
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"{path} cannot be read; remove it: `polygon-fundamentals drill` writes it again"
        ) from error


def _row(figure: Mapping[str, Any]) -> dict[str, str]:
    before, after = figure["before"], figure["after"]
    change = percent = "–"
    if _is_number(before) and _is_number(after):
        change = f"{after - before:+,.15g}" if after != before else "0"
        if before:
            share = 100 * (after - before) / abs(before)
            percent = f"{share:+,.0f} %" if abs(share) >= 1000 else f"{share:+.4g} %"
    return {
        "check": str(figure["check"]),
        "figure": str(figure["place"]).lstrip("."),
        "before": _text(before),
        "after": _text(after),
        "change": change,
        "percent": percent,
        "agrees": "yes" if figure["agrees"] else "no",
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return f"{value:,.15g}" if _is_number(value) else "–" if value is None else str(value)
