"""Columns from rows: the fast way, and the way that saves what does not fit its type."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa

from polygon_fundamentals.normalise.exact import ExactNumber

Misfits = list[dict[str, Any]]
REFUSED = (pa.ArrowException, TypeError, ValueError, OverflowError)
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)
# Texts that a row may hold as a whole number → how they are written.
_WHOLE_AS_TEXT = {"cik": "{:010d}", "fiscal_year": "{:d}"}
_DIGITS = re.compile(r"0|[1-9][0-9]{0,8}")


def column(
    rows: Sequence[dict[str, Any]], name: str, kind: pa.DataType, misfits: Misfits
) -> pa.Array:
    """Return the column `name` of `rows`.

    A value that its type cannot hold exactly is put into that row's dict in `misfits`
    (for the `unmapped` column); the column then has null, or the nearest float. A whole number
    that came as text, and a CIK or fiscal year that came as a number, are the same in the other.
    """
    values = [row.get(name) for row in rows]
    try:
        if kind == pa.date32():
            return pa.array(values, pa.string()).cast(kind)
        if pa.types.is_list(kind):
            if any(isinstance(value, str) for value in values):
                raise TypeError("Arrow would take a text for a list of its letters")
            return pa.array(values, kind)
        if pa.types.is_string(kind):
            return pa.array(values, kind)
        # Without a type: told that it is float64, Arrow would take true for 1.0.
        numbers = pa.array(values)
        if not any(is_kind(numbers.type) for is_kind in _NUMBERS):
            raise TypeError("no numbers")
        return numbers.cast(pa.float64()).cast(kind)
    except REFUSED:
        pass
    fit = _fitter(name, kind)
    fitted = []
    for value, misfit in zip(values, misfits, strict=True):
        kept, lost = (None, False) if value is None else fit(value)
        if lost:
            misfit[name] = value
        fitted.append(kept)
    return pa.array(fitted, kind)


def fit_number(value: Any) -> tuple[float | None, bool]:
    """Return (the nearest float or None, whether something would be lost)."""
    if isinstance(value, ExactNumber):
        number = float(value)
        return (number if math.isfinite(number) else None), True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, True
    try:
        number = float(value)
    except OverflowError:
        return None, True
    return number, isinstance(value, int) and int(number) != value


def _fit_integer(value: Any) -> tuple[int | None, bool]:
    if type(value) is str and _DIGITS.fullmatch(value):
        return int(value), False
    number, lost = fit_number(value)
    if lost or number is None or not number.is_integer() or abs(number) > 2**31 - 1:
        return None, True
    return int(number), False


def _fit_day(value: Any) -> tuple[date | None, bool]:
    try:
        return date.fromisoformat(value), False
    except (TypeError, ValueError):
        return None, True


def _fit_text(value: Any, whole: str | None = None) -> tuple[str | None, bool]:
    if whole is not None and type(value) in (int, float) and 0 <= value < 10**10:
        return (whole.format(int(value)), False) if int(value) == value else (None, True)
    return (value, False) if type(value) is str else (None, True)


def _fit_texts(value: Any) -> tuple[list[str] | None, bool]:
    if isinstance(value, list) and all(type(item) is str for item in value):
        return value, False
    return None, True


def _fitter(name: str, kind: pa.DataType) -> Callable[[Any], tuple[Any, bool]]:
    if kind == pa.date32():
        return _fit_day
    if pa.types.is_string(kind):
        return partial(_fit_text, whole=_WHOLE_AS_TEXT.get(name))
    if pa.types.is_list(kind):
        return _fit_texts
    if pa.types.is_integer(kind):
        return _fit_integer
    return fit_number
