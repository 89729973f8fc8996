"""Readers that read all the time, each with the tool of its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import opened

# What a plain reader that lists first and opens later may meet while files move (docs/runbook.md).
DOCUMENTED = ("No such file", "No files found", "not found", "expanded paths were empty", "No such")
# Polars and DuckDB open a file more than once by its name, for its size, its footer and its pages:
# where another file takes the name in between, the parts do not fit together. A file that is broken
# stays so; what moves fits together at one of some more reads. pyarrow and pandas open a file once,
# so they would meet a file that is not put in place whole.
MIXTURES: dict[str, tuple[str, ...]] = {
    "polars": ("File out of specification", "range.end as u64 <= self.size"),
    "duckdb": (
        "corrupted", "TProtocolException", "Out of buffer", "invalid TType",
        "don't know what type", "Could not read enough bytes",
    ),
}  # fmt: skip
READS = 5


def read_on(root: Path, engine: str, seconds: float, *, others: bool) -> list[str]:
    """Read a statement again and again; return the failures that are not documented.

    `others`: another tool's file may stand among those of the generation.
    """
    lake = Lake(root)
    folder = lake.pointer / "balance_sheets"
    pattern = f"{folder}/*/*/*.parquet"
    reads: dict[str, Callable[[], object]] = {
        "pyarrow": lambda: ds.dataset(folder, partitioning="hive").to_table(["cik"]),
        "pandas": lambda: pandas.read_parquet(folder, columns=["cik"]),
        # Another tool's file has columns of its own, which polars refuses unless told otherwise.
        "polars": lambda: (
            polars.scan_parquet(
                pattern, hive_partitioning=False, extra_columns="ignore" if others else "raise"
            )
            .select("cik")
            .collect()
        ),
        "duckdb": lambda: duckdb.execute(
            f"select cik from read_parquet('{pattern}', union_by_name=true)"
        ).fetchall(),
        "library": lambda: _held(lake, others),
    }
    failures = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        text = _failure(engine, reads[engine])
        for _ in range(READS):
            if not any(words in text for words in MIXTURES.get(engine, ())):
                break
            time.sleep(0.02)
            text = _failure(engine, reads[engine])
        if text and (engine == "library" or not any(words in text for words in DOCUMENTED)):
            failures.append(text)
    return failures


def watch(pointer: Path, pid: int) -> list[str]:
    """Look at the pointer until a process has ended; return that it led nowhere, if it ever did."""
    while _is_running(pid):
        if not pointer.is_dir():
            return ["the pointer led nowhere during a switch"]
        time.sleep(0.0005)
    return []


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _failure(engine: str, read: Callable[[], object]) -> str:
    """Read once; return how it failed, nothing where it did not."""
    try:
        read()
    except (Exception, polars.exceptions.PanicException) as error:  # noqa: BLE001 - four tools have as many errors
        return f"{engine}: {type(error).__name__}: {error}"[:300]
    return ""


def _held(lake: Lake, others: bool) -> None:
    """Read through the library's held folder: of one generation, whatever moves."""
    with opened(lake) as folder:
        marks = set[bytes]()
        for path in sorted((folder / "balance_sheets").glob("year=*/month=*/ticker=*.parquet")):
            try:
                with pq.ParquetFile(path) as file:
                    marks.add((file.metadata.metadata or {}).get(b"polygon_fundamentals", b"")[:2])
            except FileNotFoundError:
                continue  # its last row moved to another month
        if others:
            marks.discard(b"")
        if len(marks) > 1:
            raise ValueError(f"a mixture of {marks}")
