"""Accepting differences that somebody has looked at: entries of `accepted.yaml` from a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.errors import AnswerIsNo, UsageError
from polygon_fundamentals.parity.kinds import APART_KINDS, COVERAGE_KINDS, DIFFERENCE_KINDS
from polygon_fundamentals.statements import Statement

# What a reviewer adds to values.csv: only rows with a reason are accepted.
REASON, BY = "reason", "by"
_COLUMNS = (
    "statement", "ticker", "cik", "timeframe", "period_end", "v2_field", "v1_value", "v2_value",
    "kind",
)  # fmt: skip
# All of the company's, with commas; the value is listed once, under the first of them.
_TICKERS = "tickers"
_NAMED = ("statement", "timeframe", "period_end", "v2_field")
_FAULTS_NAMED = 5
# Of a figure that a spreadsheet has shortened; 1.24301E+11 has five.
_FEWEST_DECIMALS = 2


@dataclass(frozen=True)
class Case:
    """Which findings of the last report; what is None is of any value.

    A company is named by any of its tickers.
    """

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
        UsageError: it is not a finding on a value.
        AnswerIsNo: the report has no such finding.
    """
    _expect_value_kind(case.finding)
    values = pq.read_table(report, columns=[*_COLUMNS, _TICKERS]).to_pandas()
    wanted = (values["kind"].astype(str) == case.finding) & _is_of(values, case.tickers)
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
            f"the last report has no `{case.finding}` value of {', '.join(case.tickers)} as named; "
            f"its values are on the review page and in {report.with_suffix('.csv')}"
        )
    rows = values[wanted].drop_duplicates([c for c in _COLUMNS if c != "ticker"])
    return [_entry(row, reason, by, until) for row in rows.to_dict("records")]


def _is_of(values: pd.DataFrame, tickers: Sequence[str]) -> pd.Series:
    """Return which values are of companies with one of some tickers, the first of them or not."""
    names = values[_TICKERS].astype(str)
    theirs = [text for text in names.unique() if not set(tickers).isdisjoint(text.split(","))]
    return names.isin(theirs) | values["ticker"].isin(tickers)


def _expect_value_kind(finding: str) -> None:
    if finding in {kind.value for kind in COVERAGE_KINDS}:
        raise UsageError(
            f"a ticker or period that is `{finding}` has no value to accept; to allow it, raise "
            f"`{finding}` in expectations/tolerances.yaml, with who looked at what"
        )
    kinds = [kind.value for kind in (*DIFFERENCE_KINDS, *APART_KINDS)]
    if finding not in kinds:
        raise UsageError(f"'{finding}' is not a finding; they are {', '.join(kinds)}")


def entries_of_report(
    path: Path, report: Path, by: str | None, until: date
) -> tuple[list[Any], list[str]]:
    """Return the entries of a values.csv in which a reviewer gave reasons, and what it shortened.

    The CSV says which findings are meant; the entries have the values of the report, since a
    spreadsheet shortens them (1.24301E+11).

    Raises:
        UsageError: it is not such a file, a row has nobody's name, or differs from the report.
        AnswerIsNo: no row has a reason.
    """
    try:
        # As texts: how many digits a figure has says whether it was shortened.
        given = pd.read_csv(path, dtype=str, keep_default_na=False)
        given = given[given[REASON].str.strip() != ""]
        given = given[[*_COLUMNS, REASON, *([BY] if BY in given else [])]]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} is not a values.csv of parity with a column `{REASON}` added ({error})"
        ) from error
    if given.empty:
        raise AnswerIsNo(f"no row of {path} has a `{REASON}`; nothing to accept")
    known = _findings_like(report, given)
    entries, shortened, faults = list[Any](), list[str](), list[str]()
    for position, row in zip(given.index, given.to_dict("records"), strict=True):
        who = str(row.get(BY, "")).strip() or by
        if not who:
            raise UsageError(f"{path}: add a column `{BY}`, or give --by")
        reported, place = known.get(_key(row)), f"row {position + 2}"
        if reported is None:
            faults.append(f"{place}: {_unknown(row)}")
            continue
        if fault := _fault(row, reported):
            faults.append(f"{place}: {fault}")
            continue
        entries.append(_entry(reported, row[REASON], who, until))
        shortened += [
            f"{place}: {name} {row[name]} is {_figure(reported[name])}"
            for name in ("v1_value", "v2_value")
            if row[name] and float(row[name]) != reported[name]
        ]
    if faults:
        more = f"; and {len(faults) - _FAULTS_NAMED:,} more" if len(faults) > _FAULTS_NAMED else ""
        raise UsageError(
            f"{path} is not as {report} has it: {'; '.join(faults[:_FAULTS_NAMED])}{more}. Nothing "
            f"was accepted; add `{REASON}` to a copy of the values.csv beside that report, and let "
            "a spreadsheet read its columns as text"
        )
    return entries, shortened


def _key(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return what identifies a finding, as the texts of a CSV."""
    # Without a CIK the ticker is all that names the company.
    company = str(row["cik"]).zfill(10) if row["cik"] else str(row["ticker"])
    return (company, *(str(row[name]) for name in _NAMED))


def _findings_like(report: Path, given: pd.DataFrame) -> dict[tuple[str, ...], Mapping[Any, Any]]:
    """Return a report's findings on the companies and fields of some rows, by `_key`."""
    fields, ciks = given["v2_field"].unique().tolist(), given["cik"].unique()
    table = pq.read_table(report, columns=list(_COLUMNS), filters=[("v2_field", "in", fields)])
    known = pa.array([cik.zfill(10) for cik in ciks if cik], pa.string())
    cik = table["cik"].cast(pa.string())
    values = table.filter(pc.or_(pc.is_null(cik), pc.is_in(cik, known))).to_pandas()
    values["period_end"] = values["period_end"].dt.strftime("%Y-%m-%d")
    return {_key(row): row for row in values.to_dict("records")}


def _unknown(given: Mapping[Any, Any]) -> str:
    what = " ".join(str(given[name]) for name in ("ticker", *_NAMED))
    return f"the report has no {what}, and writes days as 2024-12-31"


def _fault(given: Mapping[Any, Any], reported: Mapping[Any, Any]) -> str:
    """Return in words what of a row is not as in the report; nothing where all is."""
    if given["kind"] != reported["kind"]:
        return f"the finding is {reported['kind']} in the report, not {given['kind']}"
    for name in ("v1_value", "v2_value"):
        if not _is_same(str(given[name]).strip(), reported[name]):
            return (
                f"{name} is {_figure(reported[name])} in the report, not {given[name] or 'empty'}"
            )
    return ""


def _is_same(text: str, value: float) -> bool:
    """Return whether a text is the value, or has as many of its digits as a spreadsheet keeps."""
    if pd.isna(value) or not text:
        return pd.isna(value) and not text
    try:
        number = float(text)
    except ValueError:
        return False
    digits = sum(map(str.isdigit, text.lower().partition("e")[0].lstrip("-0."))) - 1
    if digits < _FEWEST_DECIMALS:
        return number == value
    return f"{value:.{digits}e}" == f"{number:.{digits}e}"


def _figure(value: float) -> str:
    return "empty" if pd.isna(value) else f"{value:,.17g}"


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
        "cik": str(row["cik"]).zfill(10),
        "timeframe": str(row["timeframe"]),
        "period_end": pd.Timestamp(row["period_end"]).date(),
        "v2_field": str(row["v2_field"]),
        **values,
        "reason": reason.strip(),
        "by": by.strip(),
        "until": until,
    }
