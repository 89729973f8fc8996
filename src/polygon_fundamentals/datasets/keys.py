"""What identifies a record, and what shows that its content changed.

The record key is the period key with the fiscal year and period that the record claims. The
content hash covers every column but the file's ticker and the time of observation; it is a function
of the typed row, so it is the same whether a row comes from an answer or from a file.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.statements import Generation

PERIOD = {
    Generation.V1: ("end_date", "fiscal_year", "fiscal_period"),
    Generation.V2: ("period_end", "fiscal_year", "fiscal_quarter"),
}
# v1's dates of 2009 and 2010 are off by days (AMZN 2009-03-30, NVDA 2010-04-29 for 2010-05-02), and
# v2 dates single statements otherwise than the others of the period (CARR's balance of 2021 is of
# 4 January 2022). Quarters have 12 weeks at least, so ten days can never reach another one.
SAME_PERIOD_DAYS = 10
_SEPARATOR = "|"
# Columns that tools add to what the vendor sent. They are not content: a row that was downloaded
# again is the same row.
_ADDED = ("ticker", "year", "month", "__index_level_0__", "index", "level_0")
# The index of pandas in a CSV file that was read and written again.
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?")
# Of these, the moments at which a tool had the row; the first one that can be read counts.
MOMENTS_OF_TOOLS = (
    "downloaded_at",
    "download_timestamp",
    "fetched_at",
    "ingested_at",
    "ingestion_timestamp",
    "_sdc_extracted_at",
    "_sdc_received_at",
    "_sdc_batched_at",
)
_SINGER = "_sdc_"
# The end of a moment that names its zone in hours.
_ZONE = r"[T ][0-9:.]+[-+][0-9:]+$"


def record_keys(table: pa.Table, generation: Generation) -> list[str]:
    """Return `cik|timeframe|period_end|fiscal_year|fiscal_period` for every row.

    A record without a CIK is named by the file's ticker instead, and then belongs to
    that file only. A snapshot is of a ticker, with or without a CIK: its key is
    `ticker:SYMBOL|day|date||`.
    """
    end, year, period = PERIOD[generation]
    of_file = pc.binary_join_element_wise("ticker:", pc.coalesce(table["ticker"], ""), "")
    if is_snapshot(table):
        days = table["date"].cast(pa.string())
        return list(pc.binary_join_element_wise(of_file, "day", days, "", "", "|").to_pylist())
    parts = [
        pc.coalesce(table["cik"], of_file),
        table["timeframe"],
        table[end].cast(pa.string()),
        table[year].cast(pa.string()),
        table[period].cast(pa.string()),
    ]
    joined = pc.binary_join_element_wise(
        *parts, _SEPARATOR, null_handling="replace", null_replacement=""
    )
    return joined.to_pylist()


def cik_of_key(key: str) -> str | None:
    """Return the CIK in a record key as the record has it, or None where it has none."""
    cik = key.partition(_SEPARATOR)[0].strip()
    return None if not cik or cik.startswith("ticker:") else cik


def is_snapshot(table: pa.Table) -> bool:
    """Return whether the rows are snapshots of a day instead of filings."""
    return "date" in table.schema.names


def file_days(table: pa.Table) -> pa.ChunkedArray:
    """Return the day of every row whose month names the folder of its file."""
    return table["date" if is_snapshot(table) else "filing_date"]


def filing_order(table: pa.Table, generation: Generation) -> npt.NDArray[np.int64]:
    """Return numbers for every row that are greater for the later of two filings of one period.

    They are compared column by column. v1: `acceptance_datetime` (its first fourteen digits, so
    that text with and without signs compare; in UTC where it says another zone), then the filing
    date. v2: the filing date. One that is missing comes before all others.
    """
    filed = file_days(table).cast(pa.int32()).cast(pa.int64())
    columns = [pc.fill_null(filed, np.iinfo(np.int64).min)]
    if generation is Generation.V1:
        accepted = _in_utc(table["acceptance_datetime"])
        digits = pc.replace_substring_regex(accepted, r"\D", "")
        moment = pc.utf8_rpad(pc.utf8_slice_codeunits(digits, 0, 14), 14, "0").cast(pa.int64())
        columns.insert(0, pc.fill_null(moment, 0))
    return np.column_stack([column.to_numpy() for column in columns])


def _in_utc(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts of moments, in UTC those that name their zone in hours."""
    zoned = pc.fill_null(pc.match_substring_regex(moments, _ZONE), False)
    if not pc.any(zoned).as_py():
        return moments
    texts = moments.to_pylist()
    for i in pc.indices_nonzero(zoned).to_pylist():
        with suppress(ValueError):  # what is no moment stays a text
            texts[i] = datetime.fromisoformat(texts[i]).astimezone(UTC).isoformat()
    return pa.chunked_array([texts], pa.string())


def period_of(record_key: str) -> str:
    """Return the period key (cik|timeframe|period_end) of a record key."""
    return record_key.rsplit(_SEPARATOR, 2)[0]


def end_of(record_key: str) -> str:
    """Return the period end of a record key, or an empty text where the record has none."""
    return record_key.rsplit(_SEPARATOR, 3)[1]


def timeframe_of(record_key: str) -> str:
    """Return the timeframe of a record key."""
    return record_key.rsplit(_SEPARATOR, 4)[1]


def cik_of(record_key: str) -> str:
    """Return the CIK of a record key, or `ticker:SYMBOL`."""
    return record_key.split(_SEPARATOR, 1)[0]


def content_hashes(table: pa.Table) -> list[str]:
    """Return a 32-digit hash of each row's content."""
    flat = table.drop_columns(["ticker", "observed_at"])
    while any(pa.types.is_struct(field.type) for field in flat.schema):
        flat = flat.flatten()
    numbers, texts = [], []
    for field, column in zip(flat.schema, flat.columns, strict=True):
        if pa.types.is_list(field.type):
            texts.append(pc.binary_join(column, "\x1e"))
        elif pa.types.is_string(field.type):
            texts.append(column)
        else:
            whole = column.cast(pa.int32()) if pa.types.is_date(field.type) else column
            numbers.append(whole.cast(pa.float64()).to_numpy(zero_copy_only=False))
    # + 0.0 makes one zero of -0.0 and 0.0.
    matrix = np.ascontiguousarray(np.column_stack(numbers) + 0.0)
    matrix[np.isnan(matrix)] = np.nan
    joined = pc.binary_join_element_wise(
        *texts, "\x1f", null_handling="replace", null_replacement="\x00"
    ).to_pylist()
    return [
        hashlib.blake2b(row.tobytes() + text.encode(), digest_size=16).hexdigest()
        for row, text in zip(matrix, joined, strict=True)
    ]


def is_addition(name: str) -> bool:
    """Return whether tools add such a column to what the vendor said."""
    return (
        name in _ADDED
        or name in MOMENTS_OF_TOOLS
        or name.startswith(_SINGER)
        or _UNNAMED.fullmatch(name) is not None
    )
