"""From what was compared to the answer: the checkpoint, the report, the data docs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from expectations.checkpoint import RuleResult, run_checkpoint
from expectations.docs import write_run
from expectations.suites import Case
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.parity import Parity, judge, merge
from polygon_fundamentals.parity.findings import Found
from polygon_fundamentals.parity.frames import compared, frames_of, names_of, v1_last_filing
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.report import (
    budgets_table,
    fields_table,
    markdown,
    raised_budgets,
    write_report,
)
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances

FOLDER = Path(__file__).parent
TOLERANCES_FILE = FOLDER / "tolerances.yaml"
# A report lists every value that is not equal: 0.2 MB a company as CSV, a tenth as Parquet.
REPORTS_KEPT = 10
CSVS_KEPT = 1
ACCEPTED_FILE = FOLDER / "accepted.yaml"


@dataclass(frozen=True)
class Asked:
    """What a run was asked, for the pages: its scope, its day, and what hindered it."""

    run: str
    tickers_total: int
    sample: int | None
    seed: int | None
    named: bool
    today: date
    v1_is_frozen: bool
    notes: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What was compared, in words."""
        if self.sample is not None:
            return f"a sample of {self.sample} (seed {self.seed})"
        return "some tickers" if self.named else "the whole history"


def parity_folder(lake: Lake) -> Path:
    """Return `ops/parity`, with the data docs and the reports."""
    return lake.ops / "parity"


def answer(
    lake: Lake,
    founds: Sequence[Found],
    asked: Asked,
    tolerances: Tolerances,
    accepted: Sequence[Accepted],
) -> dict[str, Any]:
    """Whether v2 may take over, with all that says so; writes the report and the data docs.

    The result holds what `parity --json` prints (DESIGN.md, section 6), and `markdown`.
    `founds`: one a statement.
    """
    stamp = datetime.now(UTC)
    parity = merge(found.totals(accepted) for found in founds)
    verdict = judge(parity, tolerances)
    results: list[RuleResult] = []
    told_by_gx: dict[str, Any] = {}
    names: dict[str, str] = {}
    for found in founds:
        case = Case(
            found.statement,
            tolerances,
            verdict,
            asked.today,
            v1_last_filing(found),
            compared(found),
        )
        told, whole = run_checkpoint(frames_of(found, tolerances), case)
        results += told
        told_by_gx |= whole
        names |= names_of(found).to_dict()
    broken = [result for result in results if not result.passed]
    identity = f"{stamp:%Y%m%dT%H%M%S}Z-{asked.run}"
    reports = parity_folder(lake) / "reports" / identity
    paths = write_report(reports, founds)
    _prune(reports.parent)
    replace_file(
        reports / "checkpoint.json",
        orjson.dumps(told_by_gx, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS),
    )
    summary = _summary(parity, asked, passed=verdict.passed and not broken)
    summary["notes"] = [
        *asked.notes,
        *(f"may stand by a reviewer's decision: {t}" for t in raised_budgets(verdict, tolerances)),
    ]
    summary.update(
        lake=str(lake.root),
        rules=len(results),
        rules_broken=[
            {"rule": r.title, "detail": r.detail, "statement": r.statement.value, "count": r.broken}
            for r in broken
        ],
        report=str(paths["values"]),
        report_csv=str(paths["values_csv"]),
        report_folder=str(reports),
    )
    page = write_run(
        parity_folder(lake) / "data_docs",
        {
            **summary,
            "id": identity,
            "started": f"{stamp:%Y-%m-%d %H:%M:%S} UTC",
            "rules_broken": len(broken),
            "unequal": {k.value: parity.counts[k] for k in DIFFERENCE_KINDS if parity.counts[k]},
            "what": asked.what,
        },
        results,
        {
            "budgets": budgets_table(verdict),
            "fields": fields_table(parity),
            "absent": _absent(parity, names),
            "companies": _companies(parity, names),
            "unused": _unused(parity),
        },
    )
    summary["data_docs"] = str(parity_folder(lake) / "data_docs" / "index.html")
    summary["data_docs_run"] = str(page)
    text = markdown(summary, parity, verdict)
    replace_file(reports / "summary.md", text.encode())
    shown = {k: v for k, v in summary.items() if k != "missing_periods"}
    replace_file(reports / "summary.json", orjson.dumps(shown, option=orjson.OPT_INDENT_2))
    return {**summary, "markdown": text}


def _prune(reports: Path) -> None:
    """Remove old reports, and of those that stay the CSV of what their Parquet file holds too."""
    newest_first = sorted(reports.iterdir(), reverse=True)
    for old in newest_first[REPORTS_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    for old in newest_first[CSVS_KEPT:REPORTS_KEPT]:
        (old / "values.csv").unlink(missing_ok=True)


def _summary(parity: Parity, asked: Asked, *, passed: bool) -> dict[str, Any]:
    counts = parity.counts
    told = (*DIFFERENCE_KINDS, Kind.NULL_IN_V2)
    last = parity.v1_last_filing
    absent = parity.absent_tickers
    reach = f"v1's last filing is of {last}." if last else "v1 holds no dated filing."
    if asked.v1_is_frozen:
        reach = f"v1 is history: this is parity with it, and says nothing of filings after {last}."
    missing = parity.missing_periods
    listed = missing[["statement", "ticker", "timeframe"]].astype(str)
    listed["period_end"] = missing["period_end"].dt.strftime("%Y-%m-%d")
    tickers: set[str] = set()
    for result in parity.results:
        tickers |= set(result.tickers["ticker"])
    return {
        "passed": passed,
        "compared": parity.compared,
        "matched": parity.matched,
        "differences": {k.value: counts[k] for k in told if counts[k]},
        "counted_apart": {k.value: counts[k] for k in APART_KINDS},
        "missing_tickers": parity.missing_tickers,
        "absent_tickers": {
            kind: sorted(set(rows["ticker"])) for kind, rows in absent.groupby("kind")
        },
        "missing_periods": listed.to_dict("records"),
        "extra_periods": counts[Kind.EXTRA],
        "tickers_compared": len(tickers),
        "tickers_total": asked.tickers_total,
        "sample": asked.sample,
        "seed": asked.seed if asked.sample is not None else None,
        "v1_last_filing": last.isoformat() if last else None,
        "v1_is_frozen": asked.v1_is_frozen,
        "reach": reach,
    }


def _absent(parity: Parity, names: Mapping[str, str]) -> pd.DataFrame:
    absent = parity.absent_tickers.copy()
    absent.insert(1, "company", absent["ticker"].map(names))
    told = absent[["ticker", "company", "cik", "kind", "detail", "statement", "periods"]]
    return told.rename(columns={"kind": "state", "detail": "what is known", "cik": "CIK"})


def _companies(parity: Parity, names: Mapping[str, str]) -> pd.DataFrame:
    """One row a ticker of v1: company name, and in how many periods the generations meet."""
    frames = [result.tickers.assign(statement=result.statement.value) for result in parity.results]
    rows = pd.concat(frames, ignore_index=True)
    table = rows.pivot_table(
        index=["ticker"], columns="statement", values="periods", aggfunc="sum", fill_value=0
    ).reset_index()
    table.columns.name = None
    table.insert(1, "company", table["ticker"].map(names))
    return table


def _unused(parity: Parity) -> pd.DataFrame:
    unused = [one for result in parity.results for one in result.unused_acceptances]
    rows = [one.model_dump(mode="json") for one in unused]
    return pd.DataFrame(rows, columns=list(Accepted.model_fields))
