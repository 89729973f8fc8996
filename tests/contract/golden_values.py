"""What two golden values have in common: placeholders, differences, and options of `--help`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from flows.__main__ import main
from flows.rollback import LOOK_BACK_DAYS
from polygon_fundamentals.business_days import today_in_new_york

# Texts for people, which may be put better: that there is one is held, not what it says.
PROSE = {
    "checked",
    "detail",
    "error",
    "file_system",
    "message",
    "note",
    "notes",
    "pointer",
    "reach",
    "reason",
    "remedy",
    "rule",
    "warnings",
}
# A single word there is no text: the class of an error, the generation that a pointer leads to.
WORDS = {"error", "pointer"}
# Numbers that differ from run to run: they stay numbers.
MEASURED = re.compile(r"(^|_)(seconds|bytes|pid|measured|time_ratio|storage_ratio)(_|$)")
A_MOMENT_IN_NS = 10**17
TEXTS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\d{8}T\d{6}\d*Z"), "<time>"),
    (re.compile(r"(?<=_)20\d{6}(?=\.)"), "<day>"),
    (re.compile(r"https?://[\w.]+(:\d+)?"), "<url>"),
    (re.compile(r"(?<![\w.<>])/[\w.\-=~+][\w.\-=/~+]*"), "<path>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,64}\b"), "<id>"),
    # A journal's eight digits may all be letters.
    (re.compile(r"(?<=-)[0-9a-f]{8}(?=\.json)"), "<id>"),
)
FIXED = {
    "days_in_a_row",
    "days_in_a_row_until",
    "freshness_days",
    "host",
    "code_version",
    "process_started",
    "started",
    "ended",
    "at",
    "run",
    "flow_run_id",
}


def normalised(value: Any, name: str = "") -> Any:
    """Return a JSON value with placeholders for what differs from run to run.

    `name` is the key that holds it: some keys hold prose, measured numbers or marks of the run.
    """
    if isinstance(value, dict):
        measured = name if MEASURED.search(name) else ""
        return {
            without_marks(key): normalised(inner, measured or key) for key, inner in value.items()
        }
    if isinstance(value, list):
        items = [normalised(inner, name) for inner in value]
        return sorted(items, key=json.dumps) if name in ("failed", "notes") else items
    if value is None or isinstance(value, bool):
        return value
    if name in FIXED:
        return f"<{name}>"
    if isinstance(value, int | float):
        return "<number>" if MEASURED.search(name) or value > A_MOMENT_IN_NS else value
    if value and name in PROSE and (" " in value or name not in WORDS):
        return "<prose>"
    return without_marks(value)


def without_marks(text: str) -> str:
    """Return a text with placeholders for times, ids, addresses and paths in it."""
    for pattern, placeholder in TEXTS:
        text = pattern.sub(placeholder, text)
    # What a rollback fills reaches up to the day of the run.
    today = today_in_new_york()
    for days, placeholder in ((0, "<today>"), (LOOK_BACK_DAYS, "<today, less the look-back>")):
        text = text.replace(f"{today - timedelta(days=days)}", placeholder)
    return text


def differences(golden: Any, now: Any, where: str = "") -> Iterator[str]:
    """Yield what a golden value has and the present one has not; keys that are new pass."""
    if isinstance(golden, dict) and isinstance(now, dict):
        for key, value in golden.items():
            if key in now:
                yield from differences(value, now[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is gone"
    elif isinstance(golden, list) and isinstance(now, list) and len(golden) == len(now):
        for number, (one, other) in enumerate(zip(golden, now, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif golden != now or isinstance(golden, bool) != isinstance(now, bool):
        yield f"{where}: {json.dumps(golden)[:300]} has become {json.dumps(now)[:300]}"


def options() -> dict[str, Any]:
    """Return command → option → what its `--help` says: value, choices, need and default.

    A default counts where the help says it as `(30)` or `(default: 30)`: a number, a day or a
    choice. Texts may be put better.
    """
    commands = re.findall(r"^    ([a-z][a-z-]+)\s", _help(), re.MULTILINE)
    return {name: _options(_help(name)) for name in commands}


def _help(*words: str) -> str:
    out = io.StringIO()
    with (
        patch.dict(os.environ, {"COLUMNS": "200"}),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return out.getvalue()


def _options(text: str) -> dict[str, Any]:
    usage, _, described = text.partition("\n\n")
    usage = " ".join(usage.split()).replace("[-h]", "")
    found = {}
    for option in re.finditer(r"(\[|\| )?(--[a-z0-9-]+)( \{[^}]*\}| [A-Z][^\s\]]*)?", usage):
        before, name, value = option.groups()
        choices = value.strip(" {}").split(",") if value and "{" in value else None
        found[name] = {
            "choices": choices,
            "required": not before,
            "takes_value": value is not None,
        }
        if default := _default(name, described, choices or []):
            found[name]["default"] = default
    usage = re.sub(r"\[[^\]]*--[^\]]*\]|--\S+ \S+", "", usage)
    positional = [word.strip("[].") for word in usage.split()[5:]]
    return {**found, "": [word for word in positional if word]}


def _default(name: str, described: str, choices: Sequence[str]) -> str | None:
    told = re.search(rf"^  {name}\b(.*(?:\n {{8,}}.*)*)", described, re.MULTILINE)
    said = re.search(r"\((?:default:? )?([\w.-]+)[;)]", " ".join(told[1].split())) if told else None
    if said and (said[1] in choices or re.fullmatch(r"[\d.-]+", said[1])):
        return said[1]
    return None
