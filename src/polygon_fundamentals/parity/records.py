"""What the rules of the checkpoint look at besides the comparison: records, files, identities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import PERIOD, content_hashes, filing_order, record_keys
from polygon_fundamentals.datasets.schemas import mark, schema
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.read import repeated_rows
from polygon_fundamentals.parity.identities import IDENTITIES, Sum
from polygon_fundamentals.statements import Generation, Statement

# The identities that v2 keeps in every record. The others in `IDENTITIES` compare v2 with v1's
# breakdown, which v2 does not have in full.
KEPT_BY_V2: dict[Statement, tuple[str, ...]] = {
    Statement.BALANCE_SHEETS: ("assets = liabilities + equity",),
    Statement.CASH_FLOW: ("change in cash = its flows",),
    Statement.INCOME_STATEMENTS: (
        "gross profit = revenue - cost",
        "operating income = gross profit - operating expenses",
        "pre-tax income = operating + other",
        "net income = pre-tax - taxes + discontinued",
        "net income = parent's + minority's",
    ),
}
# Each line rounded to the dollar; and where a filer gives thousands or millions, to half of those.
_DOLLARS = 2.0
_ROUNDED = (1_000.0, 1_000_000.0)
# The types in which other tools write our columns of numbers.
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null, pa.types.is_decimal)
# The number by which the SEC knows a filing, as the address that v1 gives ends in it.
ACCESSION = r"(\d{10}-\d{2}-\d{6})(?:\D|$)"
_HIVE = {"ticker", "year", "month"}


def v2_identities(statement: Statement) -> dict[str, Sum]:
    """Return the identities that every v2 record of a statement keeps, by name."""
    wanted = KEPT_BY_V2[statement]
    return {i.name: i.v2 for i in IDENTITIES[statement] if i.name in wanted}


def record_rows(table: pa.Table, dataset: Dataset, tickers: Sequence[str]) -> pd.DataFrame:
    """Return one row per stored record: labels, dates and, in v2, how far each identity is off.

    `table` is `read_dataset` of the tickers. A record has one row for each different content that
    one filing gives it; an original and its amendment have one row together. Columns: ticker,
    company_name and accession (v1), cik, record_key, timeframe, period_end, fiscal_year,
    fiscal_period, filing_date, observed_at; in v2 also one per v2 identity, named for it: what is
    left over beyond rounding, 0 where the identity holds, NaN where a line is absent.
    """
    conflicts = _conflicts(table, dataset, tickers)
    whole = table if conflicts is None else pa.concat_tables([table, conflicts])
    end, _, period = PERIOD[dataset.generation]
    frame = pd.DataFrame(
        {
            "ticker": whole["ticker"].to_pandas().astype(object),
            "cik": whole["cik"].to_pandas().astype(object),
            "record_key": np.array(record_keys(whole, dataset.generation), dtype=object),
            "timeframe": whole["timeframe"].to_pandas().astype(object),
            "period_end": _moments(whole[end]),
            "fiscal_year": whole["fiscal_year"].cast(pa.string()).to_pandas().astype(object),
            "fiscal_period": whole[period].cast(pa.string()).to_pandas().astype(object),
            "filing_date": _moments(whole["filing_date"]),
            "observed_at": _moments(whole["observed_at"]),
        }
    )
    if dataset.generation is Generation.V1:
        frame.insert(1, "company_name", whole["company_name"].to_pandas().astype(object))
        urls = whole["source_filing_url"].to_pandas().astype(object)
        frame["accession"] = urls.str.extract(ACCESSION, expand=False).astype(object)
        return frame
    for name, line in v2_identities(dataset.statement).items():
        frame[name] = beyond_rounding(whole, line)
    return frame


def beyond_rounding(table: pa.Table, line: Sum) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return what is left over of an identity in each record beyond what rounding can do.

    A line that is a whole number of thousands or millions may be rounded to it.
    """
    names = [name for _, name in (*line.terms, *line.optional)]
    values = {n: table[n].to_numpy(zero_copy_only=False).astype(np.float64) for n in names}
    allowed = np.full(table.num_rows, _DOLLARS)
    with np.errstate(invalid="ignore", over="ignore"):
        for value in values.values():
            half = np.zeros(table.num_rows)
            for unit in _ROUNDED:
                half = np.where((value % unit == 0) & (value != 0), unit / 2, half)
            allowed += half
        residual = line.residual(values)
        return np.where(np.abs(residual) <= allowed, 0.0, residual)


def _moments(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    # Infinite or absurd years do not fit nanoseconds, hence seconds.
    naive = pc.cast(column, pa.timestamp("s"), safe=False)
    return naive.to_pandas().to_numpy(dtype="datetime64[s]")


def _conflicts(table: pa.Table, dataset: Dataset, tickers: Sequence[str]) -> pa.Table | None:
    """The stored rows that contradict one of `table`: same key, filing and moment, but not alike.

    Another filing under the same key is a version of the record, and so is what another tool
    appended on another day: v1 gives each record the company's present name and tickers. Of
    versions the later one counts.
    """
    rows = repeated_rows(dataset, tickers)
    if rows.num_rows == 0:
        return None
    standing = table.filter(pc.is_in(table["ticker"], pc.unique(rows["ticker"])))
    known, stored = (_versions(some, dataset.generation) for some in (standing, rows))
    filing = [name for name in stored if name != "content"]
    met = stored.drop_duplicates().reset_index().merge(known, on=filing, suffixes=("", "_read"))
    positions = met.loc[met["content"] != met["content_read"], "index"].to_numpy()
    return rows.take(pa.array(positions)) if len(positions) else None


def _versions(rows: pa.Table, generation: Generation) -> pd.DataFrame:
    """Which record each row is of, by which filing, when it was observed, and what it says."""
    frame = pd.DataFrame(filing_order(rows, generation)).add_prefix("filing_")
    frame["observed"] = rows["observed_at"].cast(pa.int64()).to_pandas()
    frame["ticker"] = rows["ticker"].to_pandas()
    frame["key"] = record_keys(rows, generation)
    frame["content"] = content_hashes(rows.drop_columns(["partition"]))
    return frame


def file_faults(dataset: Dataset, states: Sequence[FileState]) -> pd.DataFrame:
    """Return what is wrong with each file's columns: ticker, file, fault or "as documented".

    Raises DamagedFileError for a file that is no Parquet.
    """
    rows = []
    text = mark(dataset.generation, dataset.statement).encode()
    for state in states:
        path = dataset.file(state.partition, state.ticker)
        try:
            fault = (
                AS_DOCUMENTED if _is_ours(str(path), dataset, text) else _fault(str(path), dataset)
            )
        except FileNotFoundError:
            continue  # moved between the listing and now
        except (OSError, pa.ArrowException) as error:
            raise DamagedFileError(
                f"{path} cannot be read ({str(error).splitlines()[0][:120]}); move it away, or "
                "restore it, then load its ticker again"
            ) from error
        rows.append((state.ticker, state.key, fault))
    return pd.DataFrame(rows, columns=["ticker", "file", "fault"], dtype=object)


AS_DOCUMENTED = "as documented"


@cache
def _our_schema(generation: Generation, statement: Statement) -> bytes:
    """How the footers of our files begin: version and columns, before the number of rows.

    It is what the footers of a file without rows and of a file with one row have in common.
    """
    wanted = schema(generation, statement)
    dataset = Dataset(Lake(Path()), generation, statement)
    one_row = pa.table([pa.nulls(1, field.type) for field in wanted], schema=wanted)
    footers = []
    for table in (wanted.empty_table(), one_row):
        data = codec.encode(table, dataset)
        footers.append(data[-8 - int.from_bytes(data[-8:-4], "little") : -8])
    empty, filled = footers
    same = next(i for i, (a, b) in enumerate(zip(empty, filled, strict=False)) if a != b)
    return empty[:same]


def _is_ours(path: str, dataset: Dataset, text: bytes) -> bool:
    """Whether the footer has our columns and mark, by its bytes: to parse each takes long."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < 12:
            raise pa.ArrowInvalid("too short for a Parquet file")
        file.seek(-8, os.SEEK_END)
        tail = file.read(8)
        if tail[4:] != b"PAR1":
            raise pa.ArrowInvalid("no Parquet magic bytes at its end")
        file.seek(max(-8 - int.from_bytes(tail[:4], "little"), -size), os.SEEK_END)
        footer = file.read()
    return footer.startswith(_our_schema(dataset.generation, dataset.statement)) and text in footer


def _fault(path: str, dataset: Dataset) -> str:
    present = pq.read_schema(path)
    wanted = schema(dataset.generation, dataset.statement)
    faults = []
    nested = [f.name for f in present if pa.types.is_struct(f.type)]
    if "financials" in present.names and "financials" not in nested:
        nested.append("financials")
    if nested:
        faults.append(f"not flat: {', '.join(nested)}")
    unknown = [n for n in present.names if n not in {*wanted.names, *_HIVE, *nested}]
    if unknown:
        faults.append(f"not documented: {', '.join(unknown)}")
    needed = ("period_end", "timeframe", "filing_date")
    lacks = [n for n in needed if n not in present.names]
    if lacks:
        faults.append(f"lacks {', '.join(lacks)}")
    for name in present.names:
        if name not in wanted.names or name in nested:
            continue
        kind, documented = present.field(name).type, wanted.field(name).type
        if kind != documented and not _holds(kind, documented):
            faults.append(f"{name} is {kind}, not {documented}")
    return "; ".join(faults) or AS_DOCUMENTED


def _holds(kind: pa.DataType, documented: pa.DataType) -> bool:
    """Whether a column of another tool holds what is documented: integers for floats and such."""
    if pa.types.is_null(kind):
        return True
    if pa.types.is_floating(documented) or pa.types.is_integer(documented):
        return any(is_kind(kind) for is_kind in _NUMBERS)
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if pa.types.is_date(documented) or pa.types.is_timestamp(documented):
        return bool(texts or pa.types.is_date(kind) or pa.types.is_timestamp(kind))
    if pa.types.is_list(documented):
        return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
    return bool(texts or pa.types.is_dictionary(kind))
