"""Columns from rows: the fast way, and the way that saves what does not fit its type."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa

from polygon_fundamentals.errors import FormatError
from polygon_fundamentals.normalise.exact import ExactNumber, JsonObject, exact_decimal

Misfits = list[JsonObject]
REFUSED = (pa.ArrowException, TypeError, ValueError, OverflowError)
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)
# Texts that a row may hold as a whole number → how they are written.
_WHOLE_AS_TEXT = {"cik": "{:010d}", "sic": "{:04d}", "fiscal_year": "{:d}"}
_FEWEST_ODD_ROWS = 4
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_MIDNIGHT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]00:00(:00(\.0+)?)?(Z|[-+]00:?00)?")
_DIGITS = re.compile(r"0|[1-9][0-9]{0,8}")


def column(rows: Sequence[JsonObject], name: str, kind: pa.DataType, misfits: Misfits) -> pa.Array:
    """Return the column `name` of `rows`.

    A value that its type cannot hold exactly is put into that row's dict in `misfits`
    (for the `unmapped` column); the column then has null, or the nearest float. Another way of
    writing a value is the same value: a number as text, a CIK or fiscal year as a number, a CIK
    without its leading zeros, a day with midnight behind it.
    """
    values = [row.get(name) for row in rows]
    if name == "cik":
        values = [ten_digits(value) for value in values]
    try:
        if kind == pa.date32():
            return pa.array(values, pa.string()).cast(kind)
        if pa.types.is_list(kind):
            if any(isinstance(value, str) for value in values):
                raise TypeError("Arrow would take a text for a list of its letters")
            return pa.array(values, kind)
        if pa.types.is_string(kind):
            return pa.array(values, kind)
        # Without a type: given float64, Arrow would take true for 1.0.
        numbers = pa.array(values)
        if not any(is_kind(numbers.type) for is_kind in _NUMBERS):
            raise TypeError("no numbers")
        return numbers.cast(pa.float64()).cast(kind)
    except REFUSED:
        pass
    fit = _fitter(name, kind)
    fitted = []
    for value, misfit in zip(values, misfits, strict=True):
        fitting, lost = (None, False) if value is None else fit(value)
        if lost:
            misfit[name] = value
        fitted.append(fitting)
    return pa.array(fitted, kind)


def refuse_another_format(misfits: Misfits) -> None:
    """Refuse an answer in which most rows do not match the API's description.

    One odd value is kept beside its row. Where most rows hold values that are lost to their
    columns, the API has changed its format, and to store such rows would replace good ones.

    Raises:
        FormatError: at least four rows, and more than half of all, hold such a value.
    """
    odd = [
        (name, value)
        for misfit in misfits
        for name, value in list(misfit.items())[:1]
        if not isinstance(value, int | float | ExactNumber) or isinstance(value, bool)
    ]
    if len(odd) >= _FEWEST_ODD_ROWS and len(odd) > len(misfits) / 2:
        name, value = odd[0]
        raise FormatError(
            f"{len(odd)} of {len(misfits)} rows have values that do not match the API's "
            f"description, such as {name} = {str(value)[:40]!r}; none of the rows was stored. "
            "Report it to the vendor, and look for a newer version of this program"
        )


def ten_digits(cik: Any) -> Any:
    """Return a CIK in ten digits, as the vendor writes it; any other value unchanged."""
    if type(cik) is str and len(cik) < 10 and cik.isascii() and cik.isdigit():
        return cik.zfill(10)
    if type(cik) is int and 0 <= cik < 10**10:
        return f"{cik:010d}"
    return cik


def fit_number(value: Any) -> tuple[float | None, bool]:
    """Return (the nearest float or None, whether something would be lost)."""
    if isinstance(value, ExactNumber):
        number = float(value)
        return (number if math.isfinite(number) else None), True
    if type(value) is str and _NUMBER.fullmatch(value):
        exact = exact_decimal(value)
        return (None, True) if isinstance(exact, ExactNumber) else (exact, False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, True
    try:
        number = float(value)
    except OverflowError:
        return None, True
    return number, isinstance(value, int) and int(number) != value


def _fit_integer(value: Any) -> tuple[int | None, bool]:
    if type(value) is str:
        return (int(value), False) if _DIGITS.fullmatch(value) else (None, True)
    number, lost = fit_number(value)
    if lost or number is None or not number.is_integer() or abs(number) > 2**31 - 1:
        return None, True
    return int(number), False


def fit_day(value: Any) -> tuple[date | None, bool]:
    """Return (the day or None, whether something would be lost)."""
    try:
        midnight = _MIDNIGHT.fullmatch(value)
        return date.fromisoformat(midnight[1] if midnight else value), False
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
        return fit_day
    if pa.types.is_string(kind):
        return partial(_fit_text, whole=_WHOLE_AS_TEXT.get(name))
    if pa.types.is_list(kind):
        return _fit_texts
    if pa.types.is_integer(kind):
        return _fit_integer
    return fit_number
