"""The data docs: an index of runs and a page a run, for someone who did not write the rules.

Great Expectations' own pages put values in as raw HTML and load scripts, fonts and a logo from
other hosts. These are made from its results by templates that escape every value, and need nothing
but themselves. Compared values are never touched: only their text on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from expectations.checkpoint import RuleResult
from polygon_fundamentals.lake.storage.local import replace_file

RUNS_KEPT = 60
COMPANIES_SHOWN = 5_000
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def breakable(text: str) -> Markup:
    """The text, escaped, that a browser may break after an underscore: field names are long."""
    return escape(text).replace("_", Markup("_<wbr>"))


_ENVIRONMENT.filters["breakable"] = breakable
_NOUNS = {
    "tickers": "tickers of v1",
    "periods": "periods",
    "values": "values compared",
    "fields": "fields that v1 fills widely",
    "v1_records": "records of v1",
    "v2_records": "records of v2",
    "v2_files": "files of v2",
    "counts": "tickers and timeframes",
}
# In this order where a frame has them; what is not here is for machines.
_COLUMNS = {
    "ticker": "ticker",
    "company_name": "company",
    "timeframe": "timeframe",
    "period_end": "period end",
    "v1_field": "v1 field",
    "v2_field": "v2 field",
    "v1_value": "v1",
    "v2_value": "v2",
    "state": "state",
    "finding": "finding",
    "detail": "what is known",
    "v1_filing_date": "filed, v1",
    "v2_filing_date": "filed, v2",
    "filing_date": "filed",
    "observed_at": "seen",
    "fiscal_year": "fiscal year",
    "fiscal_period": "fiscal period",
    "file": "file",
    "fault": "columns",
    "v1_values": "values in v1",
    "without_v2": "without one in v2",
    "share_lost": "share",
    "periods": "periods",
    "most_possible": "most possible",
    "remainder": "left over",
}


@dataclass(frozen=True)
class Rows:
    """A table for a page: texts only."""

    columns: list[str]
    cells: list[list[str]]
    align: Mapping[str, str]


def rows_of(frame: pd.DataFrame) -> Rows:
    """The frame as texts: numbers whole where they are, days without a time, nothing as a dash."""
    columns = {name: [_text(value) for value in frame[name]] for name in frame.columns}
    align = {str(name): _align(frame[name]) for name in frame.columns}
    cells = [list(row) for row in zip(*columns.values(), strict=True)]
    return Rows([str(name) for name in frame.columns], cells, align)


def _align(column: pd.Series[Any]) -> str:
    if pd.api.types.is_numeric_dtype(column):
        return "n"
    return "d" if pd.api.types.is_datetime64_any_dtype(column) else ""


def _text(value: Any) -> str:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return "–"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e18 else f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _shown(rule: RuleResult) -> Rows:
    frame = rule.cases
    if rule.rule == "ExpectV2IdentityToHold":
        frame = frame.assign(remainder=frame[rule.detail])
    told = {"v1_field", "v2_field"} if rule.frame == "values" else set()
    names = [name for name in _COLUMNS if name in frame.columns and name not in told]
    return rows_of(frame[names].rename(columns=_COLUMNS))


def _rule(rule: RuleResult) -> dict[str, Any]:
    return {
        "rule": rule.rule,
        "title": rule.title,
        "detail": rule.detail,
        "description": rule.description,
        "statement": rule.statement.value,
        "noun": _NOUNS[rule.frame],
        "passed": rule.passed,
        "broken": rule.broken,
        "of": rule.of,
        "observed": rule.observed,
        "error": rule.error,
        "cases": _shown(rule),
    }


def write_run(
    folder: Path,
    run: Mapping[str, Any],
    results: Sequence[RuleResult],
    tables: Mapping[str, pd.DataFrame],
) -> Path:
    """Write the page of a run and the index anew; return the run's page.

    `run`: id, started, passed, compared, matched, unequal (the others by finding), rules,
    rules_broken, tickers_compared, tickers_total, what, reach, notes, report, report_csv.
    `tables`: budgets, fields, absent, companies, unused.
    """
    told = [_rule(result) for result in results]
    companies = tables["companies"]
    unused = tables["unused"]
    page = _ENVIRONMENT.get_template("run.html").render(
        run=run,
        broken=[rule for rule in told if not rule["passed"]],
        every=told,
        budgets=rows_of(tables["budgets"]),
        fields=rows_of(tables["fields"]),
        absent=rows_of(tables["absent"]),
        unused=rows_of(unused) if len(unused) else None,
        companies={"total": len(companies), "rows": rows_of(companies.head(COMPANIES_SHOWN))},
    )
    path = folder / "runs" / f"{run['id']}.html"
    replace_file(path, page.encode())
    entry = {**run, "page": f"runs/{run['id']}.html"}
    replace_file(path.with_suffix(".json"), orjson.dumps(entry))
    write_index(folder, str(run["lake"]))
    return path


def write_index(folder: Path, lake: str) -> Path:
    """Write the index of the runs that are kept, newest first; remove the pages of older ones."""
    notes = sorted((folder / "runs").glob("*.json"), reverse=True)
    for old in notes[RUNS_KEPT:]:
        old.with_suffix(".html").unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    runs = [orjson.loads(note.read_bytes()) for note in notes[:RUNS_KEPT]]
    page = _ENVIRONMENT.get_template("index.html").render(runs=runs, lake=lake)
    path = folder / "index.html"
    replace_file(path, page.encode())
    return path
