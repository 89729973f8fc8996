"""API keys: what can be one, and the keys of a file. No error holds a key."""

from __future__ import annotations

import re
from pathlib import Path

from polygon_fundamentals.errors import UsageError

_KEY = re.compile(r"[\x21-\x7e]+")


def keys_in(path: Path) -> list[str]:
    """Return the keys of a file: one per line, without empty lines and those that begin with #.

    Raises:
        UsageError: the file cannot be read, or has no key. The text never holds one.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"SERVE_V1_KEYS_FILE: {path} cannot be read ({type(error).__name__}); name a text "
            "file with one key per line"
        ) from error
    keys = [
        usable_key(line, f"line {number} of {path}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not keys:
        raise UsageError(f"SERVE_V1_KEYS_FILE: {path} has no key; write one per line")
    return keys


def usable_key(value: str, where: str) -> str:
    """Return an API key without the blanks around it; `where` says what held it.

    Raises:
        UsageError: it cannot stand in a header. The text never holds it.
    """
    key = value.strip()
    if not _KEY.fullmatch(key):
        raise UsageError(
            f"{where} is empty or holds spaces or characters that no key has; set it again"
        )
    return key
