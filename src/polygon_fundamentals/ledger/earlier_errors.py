"""The classes of the errors in entries that were written before the class was recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polygon_fundamentals.errors import BrownoutError, RetiredError

# The messages of our own errors in entries that were written before the class was recorded.
RETIRED = re.compile(r"\S+ answered 410: this endpoint is retired(?: since (\d{4}-\d\d-\d\d))?")
_BROWNOUT = re.compile(
    r"\S+ (?:not asked: .*?\(\S+ )?answered 410 in a brownout before its sunset", re.DOTALL
)


def error_class(unit: Mapping[str, Any]) -> str:
    """Return the class of the error that a failed unit ended with, or an empty text.

    Entries of earlier versions hold the message alone: it is recognised by its whole beginning,
    since the address in it may hold any digits and a server may say anything.
    """
    if "error" in unit:
        return str(unit["error"])
    reason = str(unit.get("reason", ""))
    for pattern, kind in ((RETIRED, RetiredError), (_BROWNOUT, BrownoutError)):
        if pattern.match(reason):
            return kind.__name__
    return ""
