"""Records of v1 in Parquet and CSV files, as quantmini and users of pandas write them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import MOMENTS_OF_TOOLS
from polygon_fundamentals.datasets.schemas import V1_RECORD
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.normalise.columns import fit_day
from polygon_fundamentals.normalise.exact import (
    ExactNumber,
    JsonObject,
    exact_decimal,
    parse_exact,
    to_json,
)
from polygon_fundamentals.normalise.legacy import as_answer
from polygon_fundamentals.normalise.v1 import with_unmapped
from polygon_fundamentals.statements import Statement

_SECTIONS = [section for statement in Statement for section in statement.v1_sections]
_LEAF_KEYS = ("value", "unit", "label", "order")
_KINDS: dict[str, pa.DataType] = dict(V1_RECORD)
_DAYS = [name for name, kind in _KINDS.items() if kind == pa.date32()]
_MAX_FIELD = 10_000_000
_EXPONENT = re.compile(r"([-+]?[0-9]+(\.[0-9]*)?)[eE]\+([0-9]{1,4})")
_BRACKETS = ("[]", "{}", "()")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_SEPARATOR = re.compile(r"\s*,\s*")
# How tools write that an element of a list is missing.
_NO_TICKER = ("", "None", "null", "NULL", "nan")
# What a file of this project's lakes notes of each record, and its revisions besides.
_NOTES = ("absent_fields", "unmapped")
_NOTES_OF_REVISIONS = ("event", "known_from", "superseded_at")
# Names of the moment at which a record was fetched.
MOMENTS = ("time_extracted", "observed_at", "recorded_at", *MOMENTS_OF_TOOLS)
# What reading a row may raise.
UNREADABLE = (ValueError, RecursionError, ApiError)


class AddProblem(Protocol):
    """Notes what of a recording was not imported, and why."""

    def __call__(self, kind: str, reason: str, line: int | None = None) -> None:
        """Note a problem of the file, or of a line of it."""


def is_table(data: bytes) -> bool:
    """Return whether a file's content is Parquet, or CSV with columns of v1's records."""
    if data[:4] == b"PAR1":
        return True
    head = data[:100_000].split(b"\n", 1)[0]
    return b"{" not in head and b"end_date" in head and b"," in head


def table_rows(data: bytes, problem: AddProblem) -> Iterator[tuple[int | None, Any]]:
    """Yield (line, row) of a table as v1 would have sent it; note what cannot be read.

    Columns may be nested, flattened (`financials.income_statement.revenues.value`, with or without
    the first and the last word), or a text of JSON. The rows of Parquet have no line.
    """
    try:
        rows = _parquet_rows(data) if data[:4] == b"PAR1" else _csv_rows(data, problem)
    except (ValueError, OSError, csv.Error, pa.ArrowException) as error:
        problem("damaged", f"the table cannot be read ({str(error).splitlines()[0][:120]})")
        return
    for number, (line, row) in enumerate(rows, 1):
        try:
            record = unflattened(row)
        except UNREADABLE as error:
            problem("damaged", f"row {number} cannot be read ({str(error)[:120]})", line)
        else:
            yield line, record


def unflattened(row: JsonObject) -> JsonObject:
    """Return a row of a table as v1 would have sent it, with its moments.

    Raises:
        UNREADABLE: a value in it cannot be read.
    """
    notes = {name: row[name] for name in _NOTES if name in row}
    beside = (*_NOTES, *_NOTES_OF_REVISIONS) if notes else ()
    row = {name: value for name, value in row.items() if name not in beside}
    nested = _nested(row)
    moments = {name: nested[name] for name in MOMENTS if name in nested}
    answer = as_answer(nested, _KINDS)
    _refuse_other_days(answer)
    if notes:
        answer = _as_sent(answer, row, **notes)
    # As an answer would have it: a day is a text.
    record: JsonObject = parse_exact(to_json(answer | moments))
    return record


def _parquet_rows(data: bytes) -> list[tuple[int | None, JsonObject]]:
    return [(None, row) for row in pq.read_table(pa.BufferReader(data)).to_pylist()]


def _csv_rows(data: bytes, problem: AddProblem) -> list[tuple[int | None, JsonObject]]:
    """Return (line, row) of a CSV file; note the lines that are not whole."""
    csv.field_size_limit(_MAX_FIELD)
    text = data.decode("utf-8-sig")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int | None, JsonObject]] = []
    try:
        for row in reader:
            if None in row.values() or any(row.get(None) or ()):
                problem(
                    "damaged",
                    f"the line does not have the header's {len(reader.fieldnames or ())} fields",
                    reader.line_num,
                )
            else:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ValueError(f"line {reader.reader.line_num}: {error}") from error
    if rows and rows[-1][0] == reader.line_num and not text.endswith(("\n", "\r")):
        line, _ = rows.pop()
        problem(
            "damaged",
            "the file ends without a line end, so its last line may be cut off; copy the file "
            "again, or end the line if it is whole",
            line,
        )
    return rows


def _nested(row: JsonObject) -> JsonObject:
    """Return a row with its flattened columns put into `financials`."""
    record: JsonObject = {}
    for name, value in row.items():
        if value is None or value == "" or value != value or name in (None, ""):
            continue
        place = _place(name)
        if place is not None:
            section, title, key = place
            sections = record.setdefault("financials", {})
            line = sections.setdefault(section, {}).setdefault(title, {})
            line[key] = _number(str(name), value) if key in ("value", "order") else value
            continue
        record[str(name)] = listed(value) if name == "tickers" else value
    ticker = record.get("ticker")
    if not record.get("tickers") and isinstance(ticker, str):
        record["tickers"] = [ticker]
    return record


def is_flat(row: JsonObject) -> bool:
    """Return whether `financials` of a record are flattened into columns."""
    return not isinstance(row.get("financials"), dict) and any(map(_place, row))


def _place(name: Any) -> tuple[str, str, str] | None:
    """Return section, line and key of a flattened column, None for another column."""
    parts = str(name).removeprefix("financials.").replace("__", ".").split(".")
    if len(parts) not in (2, 3) or parts[0] not in _SECTIONS:
        return None
    key = parts[2] if len(parts) == 3 else "value"
    return (parts[0], parts[1], key) if key in _LEAF_KEYS else None


def _number(name: str, value: Any) -> Any:
    """Return a number as JSON has it; None for pandas' NaN.

    Raises:
        ValueError: the text is not a number, or one without its last digits.
    """
    if not isinstance(value, str):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    text = value.strip()
    if _is_shortened(text):
        raise ValueError(
            f"{name} is {text[:40]!r}, whose last digits a spreadsheet has cut; export it in full"
        )
    # Python takes 1_000 for a number.
    with suppress(ValueError):
        number = float("" if "_" in text else text)
        if math.isnan(number):
            return None
        if math.isfinite(number):
            exact = exact_decimal(text)
            if isinstance(exact, ExactNumber):
                return exact
            return int(exact) if exact.is_integer() else exact
    raise ValueError(f"{name} is {text[:40]!r}, which is not a number; write it as 1234567.89")


def _is_shortened(text: str) -> bool:
    """Return whether the digits of a number with an exponent end before its last place.

    Spreadsheets write 1.24301E+11 for 124301234000. The exponents of Java and Spark, which have no
    plus, and of Python, which begin at e+16, leave out zeros only.
    """
    parts = _EXPONENT.fullmatch(text)
    if parts is None or not parts[1].strip("-0."):
        return False
    exponent = int(parts[3])
    beyond = exponent > len(parts[2] or ".") - 1
    return beyond and (parts[0].isupper() or exponent < 16)


def _refuse_other_days(answer: JsonObject) -> None:
    """Raise ValueError where a day is none, as one that another time zone has moved."""
    for name in _DAYS:
        value = answer.get(name)
        if value is not None and fit_day(value)[1]:
            raise ValueError(f"{name} is {str(value)[:40]!r}, which is not a day; write YYYY-MM-DD")


def _as_sent(
    answer: JsonObject, row: JsonObject, absent_fields: Any = None, unmapped: Any = None
) -> JsonObject:
    """Return a record of this project's lakes as v1 sent it: with its nulls and odd content."""
    tickers = row.get("tickers")
    if not tickers and row.get("cik"):
        answer.pop("tickers", None)  # the file's
        answer |= {"tickers": []} if tickers == [] else {}
    if isinstance(absent_fields, list):
        nulls: JsonObject = {name: None for name in V1_RECORD if name not in absent_fields}
        answer = nulls | answer
        sections = row["financials"] if isinstance(row.get("financials"), dict) else {}
        if "financials" not in absent_fields:
            answer.setdefault("financials", {})
        for section, lines in sections.items():
            if isinstance(lines, dict):
                nulls = {name: None for name in lines if name not in absent_fields}
                answer["financials"][section] = nulls | answer["financials"].get(section, {})
    return with_unmapped(answer, parse_exact(unmapped)) if unmapped else answer


def listed(value: Any) -> Any:
    """Return tickers as a list: of one ticker, or of the text of a list.

    JSON, Python, numpy and PostgreSQL write lists with quotes, DuckDB and PostgreSQL without. Where
    a quoted list holds anything else, such as numpy's `...`, the whole text stands for a ticker.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    inner = text[1:-1] if text[:1] + text[-1:] in _BRACKETS else text
    quoted = [part[1:-1].strip() for part in _QUOTED.findall(inner)]
    others = [part for part in _SEPARATOR.split(_QUOTED.sub(",", inner)) if part not in _NO_TICKER]
    return [text] if quoted and others else quoted or others
