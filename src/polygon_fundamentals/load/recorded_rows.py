"""The v1 records of a recording, whatever its format: read from its content, not from its name."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.load.recorded_tables import is_table, table_rows
from polygon_fundamentals.normalise.exact import parse_exact, parse_text, to_json

_DAY = re.compile(r"(?<!\d)(20\d\d)-(\d\d)-(\d\d)(?!\d)")
# Singer's and other tools' names of the moment at which a record was fetched.
_MOMENTS = ("time_extracted", "_sdc_extracted_at", "observed_at", "recorded_at")
_SINGER = frozenset(("RECORD", "SCHEMA", "STATE", "ACTIVATE_VERSION", "BATCH"))

Row = dict[str, Any]
ObservedRow = tuple[Row, datetime]


@dataclass(frozen=True)
class Problem:
    """A recording, or a line of it, of which nothing was imported.

    `kind`: `skipped` is not of v1, `refused` is of v2, `damaged` is v1's but cannot be read.
    """

    file: str
    line: int | None
    kind: str
    reason: str


def observed_rows(
    path: Path, recorded: datetime | None, problems: list[Problem]
) -> Iterator[ObservedRow]:
    """Yield the v1 records of a recording and when each was observed; add what is none."""

    def problem(kind: str, reason: str, line: int | None = None) -> None:
        problems.append(Problem(str(path), line, kind, reason))

    at = recorded or _moment_of(path)
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem("damaged", f"the compressed file is cut off or damaged ({error})")
        return
    if is_table(data):
        try:
            values: list[tuple[int | None, Any]] = [
                # As an answer would have it: a day is a text, and so is what is no number.
                (None, parse_exact(to_json(row)))
                for row in table_rows(data)
            ]
        except (ValueError, ApiError) as error:
            problem("damaged", f"the table cannot be read ({str(error).splitlines()[0][:120]})")
            return
    else:
        values = list(_values(data, problem))
    for line, value in values:
        for record, moment in _records(value):
            reason = _refused(record)
            if reason is None:
                row = {k: v for k, v in record.items() if k not in _MOMENTS}
                yield row, recorded or _parsed(moment) or at
            else:
                problem(*reason, line)


def _values(data: bytes, problem: Callable[..., None]) -> Iterator[tuple[int | None, Any]]:
    """Yield (line, JSON value) of a text: the whole of it, or one a line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        problem("skipped", "it is neither text nor Parquet")
        return
    if not text.strip():
        problem("skipped", "it is empty")
        return
    try:
        yield None, parse_text(text.encode())
        return
    except (ValueError, RecursionError) as error:
        lines = text.splitlines()
        if len(lines) < 2 or not _is_json(lines[0]):
            kind = "damaged" if text.lstrip()[:1] in ("{", "[") else "skipped"
            reason = "it is truncated or not JSON" if kind == "damaged" else "it is not JSON"
            place = getattr(error, "lineno", None)
            problem(kind, f"{reason} ({str(error)[:80]})", place if kind == "damaged" else None)
            return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse_text(line.encode())
        except (ValueError, RecursionError) as error:
            problem("damaged", f"the line is cut off or no JSON ({str(error)[:80]})", number)


def _is_json(line: str) -> bool:
    try:
        parse_exact(line)
    except (ValueError, RecursionError):
        return False
    return True


def _records(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (record, its moment) of a page, a record, a list of either, or a Singer message."""
    if isinstance(value, list):
        for item in value:
            yield from _records(item)
    elif isinstance(value, dict) and value.get("type") in _SINGER:
        if value["type"] == "RECORD":
            yield value.get("record"), value.get("time_extracted")
    elif isinstance(value, dict) and isinstance(value.get("results"), list):
        moment = next((value[n] for n in _MOMENTS if value.get(n)), None)
        for record in value["results"]:
            own = _own_moment(record)
            yield record, own or moment
    else:
        yield value, _own_moment(value)


def _own_moment(record: Any) -> Any:
    if not isinstance(record, dict):
        return None
    return next((record[name] for name in _MOMENTS if record.get(name)), None)


def _refused(record: Any) -> tuple[str, str] | None:
    """Return (kind, reason) where a value is no record of v1."""
    if not isinstance(record, dict):
        return "skipped", "it is not a v1 record"
    if isinstance(record.get("financials"), dict) and (record.get("cik") or record.get("tickers")):
        return None
    if "period_end" in record and ("cik" in record or "tickers" in record):
        return (
            "refused",
            "it is a record of v2, which is still served: load it with "
            "`python -m flows historical-load --generation v2`",
        )
    if "status" in record and ("error" in record or "message" in record):
        said = str(record.get("error") or record.get("message"))[:80]
        return "damaged", f"it is an error that v1 answered with ({said}), not records"
    return "skipped", "it is not a v1 record"


def _moment_of(path: Path) -> datetime:
    """Return when a recording was made: the day that its path names, else its file's time."""
    for part in reversed(path.parts):
        days = _DAY.findall(part)
        if len(days) == 1:
            try:
                return datetime.fromisoformat("-".join(days[0])).replace(tzinfo=UTC)
            except ValueError:
                continue
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)


def _parsed(text: Any) -> datetime | None:
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
