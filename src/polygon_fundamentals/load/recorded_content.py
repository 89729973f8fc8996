"""What the bytes of a recording are: a text in UTF-8 or Parquet, and the JSON of a text."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polygon_fundamentals.datasets.schemas import V1_RECORD
from polygon_fundamentals.load.recorded_tables import AddProblem
from polygon_fundamentals.normalise.exact import parse_exact, parse_text

# (place, bytes at it, format) of archives and of compressed files besides gzip.
_ARCHIVES = (
    (0, b"PK\x03\x04", "zip"),
    (257, b"ustar", "tar"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (4, b"1AY&SY", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# The period end of a record, in JSON with something before it, YAML or Python.
_RECORD = re.compile(r"""\bend_date["']?\s*:\s*["']?\d{4}-\d\d-\d\d""")
_NAMES = frozenset(V1_RECORD)
# A header stands in the first lines, which may be `sep=;` or remarks.
_FIRST_LINES = 10


def content_of(path: Path, problem: AddProblem) -> bytes | None:
    """Return a recording's bytes without gzip, text as UTF-8; None where they cannot be read."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if data[:2] in _UTF16:  # as PowerShell and Excel write it
            return data.decode("utf-16").encode()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem("damaged", f"the compressed file is cut off or damaged ({error})")
    except UnicodeDecodeError as error:
        problem("damaged", f"the text in UTF-16 is cut off or damaged ({error.reason})")
    except OSError as error:
        problem("damaged", f"the file cannot be read ({error.strerror})")
    else:
        for place, mark, name in _ARCHIVES:
            if data.startswith(mark, place):
                reason = f"it is a {name} file; unpack it (save a workbook as CSV) and import that"
                problem("damaged", reason)
                return None
        return data
    return None


def json_values(data: bytes, problem: AddProblem) -> Iterator[tuple[int | None, Any]]:
    """Yield (line, JSON value) of a text: the whole of it, or one per line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"end_date" in data and b"filing_date" in data:
            reason = "it names fields of v1, but is neither text nor Parquet; export it as either"
            problem("damaged", reason)
        else:
            problem("skipped", "it is neither text nor Parquet")
        return
    if not text.strip():
        problem("skipped", "it is empty")
        return
    try:
        yield None, parse_text(text.encode())
        return
    except (ValueError, RecursionError) as error:
        # Not splitlines(): a text of JSON may hold U+0085 or U+2028 as it is.
        lines = text.split("\n")
        if len(lines) < 2 or not _is_json(lines[0]):
            problem(*_no_json(text, error))
            return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse_text(line.encode())
        except (ValueError, RecursionError) as error:
            problem("damaged", f"the line is cut off or no JSON ({str(error)[:80]})", number)


def _no_json(text: str, error: Exception) -> tuple[str, str, int | None]:
    """Return (kind, reason, line) of a text that is not JSON."""
    said = str(error)[:80]
    if text.lstrip()[:1] in ("{", "["):
        return "damaged", f"it is truncated or not JSON ({said})", getattr(error, "lineno", None)
    first = [line for line in text.split("\n", _FIRST_LINES)[:_FIRST_LINES] if "{" not in line]
    names = [_NAMES.intersection(re.findall(r"\w+", line)) for line in first]
    if any("end_date" in header and len(header) > 1 for header in names):
        reason = "its columns must be separated by commas, and the header must be its first line"
        return "damaged", f"{reason}; save it as CSV in that form", None
    if _RECORD.search(text):
        reason = f"it holds records of v1, but is not JSON ({said}); take out what is not JSON"
        return "damaged", reason, None
    return "skipped", f"it is not JSON ({said})", None


def _is_json(line: str) -> bool:
    try:
        parse_exact(line)
    except (ValueError, RecursionError):
        return False
    return True
