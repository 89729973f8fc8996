"""`accepted.yaml` as `accept` writes it: entry by entry, so that what stands beside them stays."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.parity.tolerances import Accepted, AcceptedFile, load_accepted
from polygon_fundamentals.settings_file import as_model


def write_accepted(path: Path, entries: Sequence[dict[str, object]]) -> int:
    """Add entries to the file, which keeps its comments; return how many entries were given.

    One for the same value takes the place of the entry before. A file that is not there is made.

    Raises:
        UsageError: the file, or an entry, is not as it should be; nothing is written.
    """
    fresh = as_model({"accepted": list(entries)}, AcceptedFile, "accepted differences").accepted
    # Of two people who accept at the same time, neither may lose entries.
    with exclusive(path.with_name(f".{path.name}.lock")):
        known = load_accepted(path) if path.exists() else ()
        text = _edited(path.read_text(encoding="utf-8") if path.exists() else "", known, fresh)
        _check(path, text, _together(known, fresh))
        replace_file(path, text.encode())
    return len(fresh)


def _together(known: Sequence[Accepted], fresh: Sequence[Accepted]) -> tuple[Accepted, ...]:
    """The entries of the file with the new ones: in the place of an earlier one, or at the end."""
    new = {_value_of(one): one for one in fresh}
    both = [new.pop(_value_of(one), one) for one in known]
    return (*both, *new.values())


def _check(path: Path, text: str, wanted: Sequence[Accepted]) -> None:
    """Raise UsageError unless the text says what it should."""
    try:
        written = AcceptedFile.model_validate(yaml.safe_load(text)).accepted
    except (yaml.YAMLError, ValueError):
        written = ()
    if written != tuple(wanted):
        raise UsageError(
            f"{path}: its list is in a form that cannot be added to; below the line `accepted:` "
            "begin each entry with a line `- statement: ...`, write its other keys on lines of "
            "their own, and nothing after the last entry, then run `accept` again"
        )


def _edited(text: str, known: Sequence[Accepted], fresh: Sequence[Accepted]) -> str:
    """Return the text with the entries: changed where they stand, and new ones at the end."""
    items = _list_of(text)
    if items is None:  # the file is empty, but perhaps for comments
        text = f"{_without_content(text).rstrip()}\naccepted:\n".lstrip()
        items = _list_of(text)
    start, end = items.start_mark.index, items.end_mark.index
    new = {_value_of(one): one for one in fresh}
    if not known or items.flow_style:
        together = _together(known, fresh)
        # What follows an empty list, such as a comment, stands before the entries.
        text = text[:start].rstrip() + text[end:]
        return f"{text.rstrip()}\n{_dumped(together)}"
    column = items.start_mark.column
    for one, item in reversed(list(zip(known, items.value, strict=True))):
        if entry := new.pop(_value_of(one), None):
            begin, last = text.rindex("-", 0, item.start_mark.index), _end_of(item)
            text = text[:begin] + _dumped([entry], column).strip() + text[last:]
    added = _dumped([one for one in fresh if _value_of(one) in new], column) if new else ""
    return f"{text.rstrip()}\n{added}"


def _list_of(text: str) -> Any:
    """The node of the list, or of what stands in its place; None where the file has no key."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((value for key, value in root.value if key.value == "accepted"), None)


def _without_content(text: str) -> str:
    """Return a text that says nothing, such as `{}`, with its comments alone."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return text[: root.start_mark.index] + text[root.end_mark.index :] if root else text


def _end_of(node: yaml.Node) -> int:
    """Where a node's own text ends: of a block, where its last value does."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end_of(node.value[-1][1])
    return int(node.end_mark.index)


def _dumped(entries: Sequence[Accepted], column: int = 0) -> str:
    rows = []
    for one in entries:
        row = one.model_dump(mode="json")
        rows.append(row | {name: date.fromisoformat(row[name]) for name in ("period_end", "until")})
    text: str = yaml.safe_dump(rows, sort_keys=False, allow_unicode=True, width=100)
    return textwrap.indent(text, " " * column)


def _value_of(one: Accepted) -> tuple[str, ...]:
    """Which value an entry is about."""
    return tuple(
        str(v) for v in (one.statement, one.cik, one.timeframe, one.period_end, one.v2_field)
    )
