"""Accepting differences that somebody has looked at: entries of `accepted.yaml` from a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from polygon_fundamentals.errors import AnswerIsNo, UsageError
from polygon_fundamentals.statements import Statement

# What a reviewer adds to values.csv: only rows with a reason are accepted.
REASON, BY = "reason", "by"
_COLUMNS = (
    "statement", "ticker", "cik", "timeframe", "period_end", "v2_field", "v1_value", "v2_value",
    "kind",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Which findings of the last report; what is None is of any value."""

    finding: str
    tickers: Sequence[str]
    period: date | None = None
    field: str | None = None
    statement: Statement | None = None
    timeframe: str | None = None
    cik: str | None = None


def last_report(reports: Path) -> Path:
    """Return the newest report's table of values.

    Raises:
        AnswerIsNo: there is none.
    """
    tables = sorted(reports.glob("*/values.parquet"))
    if not tables:
        raise AnswerIsNo(f"no report in {reports}; run `polygon-fundamentals parity` first")
    return tables[-1]


def entries_of_case(report: Path, case: Case, reason: str, by: str, until: date) -> list[Any]:
    """Return the entries that accept a case's findings.

    Raises:
        AnswerIsNo: the report has no such finding.
    """
    values = pq.read_table(report, columns=list(_COLUMNS)).to_pandas()
    wanted = (values["kind"].astype(str) == case.finding) & values["ticker"].isin(case.tickers)
    for column, value in (
        ("v2_field", case.field),
        ("statement", case.statement),
        ("timeframe", case.timeframe),
        ("cik", case.cik),
    ):
        if value is not None:
            wanted &= values[column].astype(str) == str(value)
    if case.period is not None:
        wanted &= values["period_end"] == pd.Timestamp(case.period)
    if not wanted.any():
        raise AnswerIsNo(
            f"{report} has no such {case.finding} of {', '.join(case.tickers)}; name the ticker, "
            "period and field as they are in values.csv beside it"
        )
    rows = values[wanted].drop_duplicates([c for c in _COLUMNS if c != "ticker"])
    return [_entry(row, reason, by, until) for row in rows.to_dict("records")]


def entries_of_report(path: Path, by: str | None, until: date) -> list[Any]:
    """Return the entries of a values.csv in which a reviewer gave reasons.

    Raises:
        UsageError: it is not such a file, or a row has nobody's name.
        AnswerIsNo: no row has a reason.
    """
    try:
        values = pd.read_csv(path, dtype={"cik": str, "ticker": str, REASON: str, BY: str})
        values = values[values[REASON].fillna("").str.strip() != ""]
        values["period_end"] = pd.to_datetime(values["period_end"])
        rows = values[[*_COLUMNS, REASON, *([BY] if BY in values else [])]].to_dict("records")
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} is not a values.csv of parity with a column `{REASON}` added ({error})"
        ) from error
    if not rows:
        raise AnswerIsNo(f"no row of {path} has a `{REASON}`; nothing to accept")
    entries = []
    for row in rows:
        named = row.get(BY)
        who = named if isinstance(named, str) and named.strip() else by
        if not who:
            raise UsageError(f"{path}: add a column `{BY}`, or give --by")
        entries.append(_entry(row, row[REASON], who, until))
    return entries


def _entry(row: Mapping[Any, Any], reason: str, by: str, until: date) -> dict[str, object]:
    """Return the entry for a finding. Raises UsageError where its company has no CIK."""
    if pd.isna(row["cik"]):
        raise UsageError(
            f"{row['ticker']} {row['statement']} {row['v2_field']}: the record has no CIK, and an "
            "entry names its company by that; raise the budget of the finding instead"
        )
    values = {
        name: None if pd.isna(row[name]) else float(row[name]) for name in ("v1_value", "v2_value")
    }
    return {
        "statement": str(row["statement"]),
        "ticker": str(row["ticker"]),
        "cik": str(row["cik"]).removeprefix("'").zfill(10),
        "timeframe": str(row["timeframe"]),
        "period_end": pd.Timestamp(row["period_end"]).date(),
        "v2_field": str(row["v2_field"]),
        **values,
        "reason": reason.strip(),
        "by": by.strip(),
        "until": until,
    }
