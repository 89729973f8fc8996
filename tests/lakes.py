"""Reading a lake in tests, independently of the library's own readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from campaign.facts import V1_SECTIONS, v1_facts, v2_facts
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement

__all__ = [
    "V1_SECTIONS",
    "contents",
    "fingerprint",
    "stored_rows",
    "stray_files",
    "v1_facts",
    "v2_facts",
]


def stored_rows(
    lake: Lake, generation: Generation, statement: Statement
) -> dict[str, list[dict[str, Any]]]:
    """Return ticker → rows of all its files, as Python objects."""
    found: dict[str, list[dict[str, Any]]] = {}
    folder = lake.dataset(generation, statement).folder
    for path in sorted(folder.glob("year=*/month=*/ticker=*.parquet")):
        ticker = unquote(path.stem.removeprefix("ticker="))
        rows = pq.ParquetFile(path).read().to_pylist()
        year, month = path.parent.parent.name[5:], path.parent.name[6:]
        for row in rows:
            filed = row["filing_date"]
            expected = (f"{filed:%Y}", f"{filed:%m}") if filed else ("1900", "01")
            assert (year, month) == expected, f"{path} holds a row filed on {filed}"
        found.setdefault(ticker, []).extend(rows)
    return found


def fingerprint(folder: Path, pattern: str = "**/*.parquet") -> dict[str, str]:
    """Return path → hash of the content of all matching files."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }


def contents(lake: Lake) -> dict[str, list[str]]:
    """Return dataset → sorted facts of all rows, without when they were observed."""
    found = {}
    for generation in Generation:
        for statement in Statement:
            rows = stored_rows(lake, generation, statement)
            found[f"{generation}.{statement}"] = sorted(
                json.dumps(
                    [ticker, {k: str(v) for k, v in row.items() if k != "observed_at"}],
                    sort_keys=True,
                )
                for ticker, all_rows in rows.items()
                for row in all_rows
            )
    return found


def stray_files(lake: Lake) -> list[Path]:
    """Return files that no finished run leaves behind."""
    kept: Iterable[Path] = (
        p for p in lake.root.rglob("*") if p.is_file() and not p.is_relative_to(lake.ops / "locks")
    )
    return [
        p
        for p in kept
        if p.name.startswith(".")
        or ".staging" in p.parts
        or p.is_relative_to(lake.ops / "unfinished")
    ]
