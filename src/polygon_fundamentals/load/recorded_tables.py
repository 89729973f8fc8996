"""Records of v1 in Parquet and CSV files, as quantmini and users of pandas write them."""

from __future__ import annotations

import ast
import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.schemas import V1_RECORD
from polygon_fundamentals.normalise.exact import JsonObject
from polygon_fundamentals.normalise.legacy import as_answer
from polygon_fundamentals.statements import Statement

_SECTIONS = [section for statement in Statement for section in statement.v1_sections]
_LEAF_KEYS = ("value", "unit", "label", "order")
_KINDS: dict[str, pa.DataType] = dict(V1_RECORD)
_MAX_FIELD = 10_000_000


def is_table(data: bytes) -> bool:
    """Return whether a file's content is Parquet, or CSV with columns of v1's records."""
    if data[:4] == b"PAR1":
        return True
    head = data[:100_000].split(b"\n", 1)[0]
    return b"{" not in head and b"end_date" in head and b"," in head


def table_rows(data: bytes) -> Iterator[JsonObject]:
    """Yield the rows of a table as v1 would have sent them.

    Columns may be nested, flattened (`financials.income_statement.revenues.value`, with or without
    the first and the last word), or a text of JSON.

    Raises:
        ValueError: the file cannot be read.
    """
    if data[:4] == b"PAR1":
        try:
            table = pq.read_table(pa.BufferReader(data))
        except (pa.ArrowException, OSError) as error:
            raise ValueError(str(error)) from error
        rows: Iterator[JsonObject] = iter(table.to_pylist())
    else:
        csv.field_size_limit(_MAX_FIELD)
        try:
            rows = iter(list(csv.DictReader(io.StringIO(data.decode("utf-8-sig")))))
        except csv.Error as error:
            raise ValueError(str(error)) from error
    for row in rows:
        yield as_answer(_nested(row), _KINDS)


def _nested(row: JsonObject) -> JsonObject:
    """Return a row with its flattened columns put into `financials`."""
    record: JsonObject = {}
    for name, value in row.items():
        if value is None or value == "" or value != value or name in (None, ""):
            continue
        parts = str(name).removeprefix("financials.").replace("__", ".").split(".")
        if len(parts) in (2, 3) and parts[0] in _SECTIONS:
            key = parts[2] if len(parts) == 3 else "value"
            if key in _LEAF_KEYS:
                sections = record.setdefault("financials", {})
                line = sections.setdefault(parts[0], {}).setdefault(parts[1], {})
                line[key] = _number(value) if key in ("value", "order") else value
                continue
        record[str(name)] = _listed(value) if name == "tickers" else value
    ticker = record.get("ticker")
    if not record.get("tickers") and isinstance(ticker, str):
        record["tickers"] = [ticker]
    return record


def _number(value: Any) -> Any:
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
            return int(number) if number.is_integer() else number
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _listed(value: Any) -> Any:
    """Return tickers as a list: of a list's text in JSON or Python, or of one ticker."""
    if not isinstance(value, str):
        return value
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError):
            tickers = read(value)
            if isinstance(tickers, list):
                return tickers
    return [part.strip() for part in value.split(",") if part.strip()]
