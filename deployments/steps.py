"""A step of a deploy: its object, what differs on the server, and how to correct it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

CREATE = "create"


@dataclass(frozen=True)
class Step:
    """`changes` is empty where the server is as declared; `apply` makes it so.

    With `is_left`, the server keeps something that is otherwise than declared: see `note`.
    """

    name: str
    changes: tuple[str, ...]
    apply: Callable[[], object]
    note: str = ""
    is_left: bool = False


def differences(wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[str, ...]:
    """Return `field: old → new` for every field of `wanted` that differs in `stored`."""
    return tuple(
        f"{field}: {_short(stored.get(field))} → {_short(value)}"
        for field, value in wanted.items()
        if stored.get(field) != value
    )


def _short(value: Any) -> str:
    text = "none" if value in (None, [], {}) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
