"""From the findings to the answer: the checkpoint, the report, the data docs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import orjson
import pyarrow.compute as pc

from expectations import project
from expectations.cases import FILE as CASES_FILE
from expectations.cases import cases_of, write_cases
from expectations.companies import COMPANIES_SHOWN, write_pages
from expectations.outcome import Outcome
from expectations.plugin.base import JsonObject
from expectations.publishing import SUMMARIES_KEPT, building, publish
from expectations.readers import read_figures
from expectations.review import Review, make_review, worst_tickers
from expectations.suites import make_suites
from expectations.summary import Asked, make_summary
from polygon_fundamentals.cutover.sign_offs import runs_signed
from polygon_fundamentals.cutover.signed_parity import runs_to_sign
from polygon_fundamentals.errors import DamagedFileError, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.processes import give_free_memory_back
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.ledger import read_entries
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.parity.company_values import company_values
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.frames import accessions, names_of, write_frames
from polygon_fundamentals.parity.kinds import WITHOUT_V2_KINDS
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.relaxed import relaxed
from polygon_fundamentals.parity.report import markdown, write_report
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.parity.totals import Parity, merge

log = logging.getLogger(__name__)

LOCK_SECONDS = 300.0
FOLDER = Path(__file__).parent
TOLERANCES_FILE = FOLDER / "tolerances.yaml"
# A report lists every value that is not equal: 0.2 MB a company as CSV, a tenth as Parquet.
REPORTS_KEPT = 10
CSVS_KEPT = 1
# Of the values that v2 lacks; the report lists all of them.
VALUES_LISTED = 20
ACCEPTED_FILE = FOLDER / "accepted.yaml"
_AS_IF = "compared as if today were {}; status, checklist and sign-off leave this run out"


@dataclass(frozen=True)
class _Places:
    """Where a run writes its answer; `stamp` is when it began, `home` is `ops/parity`."""

    home: Path
    run: str
    stamp: datetime

    @property
    def identity(self) -> str:
        return f"{self.stamp:%Y%m%dT%H%M%S}Z-{self.run}"

    @property
    def frames(self) -> Path:
        return self.home / "frames" / self.identity

    @property
    def reports(self) -> Path:
        return self.home / "reports" / self.identity

    @property
    def review(self) -> Path:
        return self.home / "data_docs" / "reviews" / f"{self.identity}.html"


def answer(
    lake: Lake,
    all_findings: Sequence[StatementFindings],
    asked: Asked,
    tolerances: Tolerances,
    accepted: Sequence[Accepted],
) -> JsonObject:
    """Run the checkpoint, which decides whether v2 may take over; return the run's result.

    Writes the Great Expectations project, the data docs and the report. The result holds what
    `parity --json` prints, and `markdown`. `all_findings` has one entry per statement.
    """
    give_free_memory_back()  # of the comparison
    at = _Places(lake.ops / "parity", asked.run, datetime.now(UTC))
    parity = merge(findings.totals(accepted) for findings in all_findings)
    question = Question(tolerances, tuple(accepted), {}, asked.today)
    lake.ops.joinpath("locks").mkdir(parents=True, exist_ok=True)
    with (
        exclusive(lake.lock("parity.checkpoint"), LOCK_SECONDS, "another run's checkpoint"),
        building(at.home, at.identity, _needed_reviews(lake)) as built,
    ):
        outcome = _decide(built, at, all_findings, question)
        paths = write_report(at.reports, all_findings)
        cases = cases_of(outcome, at.frames)
        write_cases(at.reports / CASES_FILE, cases)
        _prune(at.reports.parent)
        replace_file(at.reports / "checkpoint.json", outcome.as_json())
        allowed = relaxed(tolerances)
        notes = [
            *asked.notes,
            *([_AS_IF.format(asked.today)] if asked.as_if else ()),
            *(f"allowed by a reviewer's decision: {entry}" for entry in allowed),
            *_no_longer_applied(parity, asked),
        ]
        summary = {
            **make_summary(parity, asked, outcome),
            "relaxed": allowed,
            "notes": notes,
            "lake": str(lake.root),
            "report": str(paths["values"]),
            "report_csv": str(paths["values_csv"]),
            "report_folder": str(at.reports),
            "data_docs": str(at.home / "data_docs" / "index.html"),
            "data_docs_run": str(at.review),
            "started": f"{at.stamp:%Y-%m-%d %H:%M:%S} UTC",
            "missing_values": _missing_values(all_findings),
        }
        companies = worst_tickers(at.frames, outcome, COMPANIES_SHOWN)
        review = Review(
            at.frames,
            outcome,
            [*_earlier(at.reports), summary],
            notes,
            accessions(all_findings),
            tolerances,
            read_figures(lake),
            companies,
            cases,
        )
        _write_pages(built / "data_docs", at, review)
        names = {t: name for findings in all_findings for t, name in names_of(findings).items()}
        for some, values in company_values(lake, companies, all_findings):
            write_pages(built / "data_docs" / "companies" / at.identity, some, values, names)
        text = markdown(summary, parity, tolerances)
        replace_file(at.reports / "summary.md", text.encode())
        shown = {k: v for k, v in summary.items() if k != "missing_periods"}
        replace_file(at.reports / "summary.json", orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        publish(built, at.home, at.frames)
    return {**summary, "markdown": text}


def _needed_reviews(lake: Lake) -> set[str] | None:
    """Return the runs whose review page was signed or is to be signed; None: nobody can tell."""
    try:
        return runs_signed(lake) | runs_to_sign(read_entries(lake)[0])
    except DamagedFileError as error:
        log.warning("%s; until then no review page is removed", error)
        return None


def _decide(
    built: Path, at: _Places, all_findings: Sequence[StatementFindings], question: Question
) -> Outcome:
    """Write the frames and the project; return the result of the checkpoint."""
    settings = project.read_settings(at.home / "gx")
    actions = project.read_actions(at.home / "gx")
    rows = write_frames(at.frames, all_findings, question.tolerances, question.today)
    if not rows["tickers"]:
        raise UsageError(
            "v1 has no records of these tickers, so there is nothing to compare; load them, or "
            "name other tickers"
        )
    give_free_memory_back()
    suites = make_suites(question.tolerances, question.accepted)
    project.write_project(built / "gx", suites, settings, actions, at.frames)
    result = project.run_checkpoint(built / "gx", at.home / "gx", at.identity, at.stamp)
    return Outcome.of(result)


def _write_pages(site: Path, at: _Places, review: Review) -> None:
    """Write the review page twice: as the newest, and as this run's, one folder deeper."""
    (site / "reviews").mkdir(exist_ok=True)
    page = make_review(review)
    (site / "review.html").write_text(page, encoding="utf-8")
    deeper = page.replace('href="index.html"', 'href="../index.html"', 1)
    deeper = deeper.replace('href="companies/', 'href="../companies/')
    (site / "reviews" / at.review.name).write_text(deeper, encoding="utf-8")


def _no_longer_applied(parity: Parity, asked: Asked) -> list[str]:
    """A note on the entries of accepted.yaml that no difference fits any more, if there are any."""
    unused = [one for result in parity.results for one in result.unused_acceptances]
    if not unused or asked.named or asked.sample is not None:
        return []
    one = unused[0]
    return [
        f"accepted.yaml: {len(unused):,} of its differences no longer occur, such as "
        f"{one.ticker or one.cik} {one.statement.value} {one.period_end} {one.v2_field}; remove "
        "these entries"
    ]


def _missing_values(all_findings: Sequence[StatementFindings]) -> list[JsonObject]:
    """The first values that only v1 has in a period that both have; those `lost_in_v2` first."""
    names = ["statement", "ticker", "timeframe", "period_end", "v2_field", "v1_value"]
    listed: list[JsonObject] = []
    for kind, findings in product(WITHOUT_V2_KINDS, all_findings):
        for table in findings.batches("values", [*names, "kind"]):
            lacking = table.filter(pc.equal(table["kind"], kind.value)).select(names)
            listed += lacking.slice(0, VALUES_LISTED - len(listed)).to_pylist()
    return [{**row, "period_end": f"{row['period_end']:%Y-%m-%d}"} for row in listed]


def _earlier(reports: Path) -> list[JsonObject]:
    """The summaries of the earlier runs, oldest first; those of older versions have fewer keys."""
    summaries = []
    for path in sorted(reports.parent.glob("*/summary.json")):
        try:
            summary = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            log.warning("%s cannot be read; the trend is shown without that run", path)
            continue
        if path.parent != reports and "scope" in summary:
            summaries.append(summary)
    return summaries


def _prune(reports: Path) -> None:
    """Remove old reports, and from those that stay the CSV copy of their Parquet file."""
    newest_first = sorted(reports.iterdir(), reverse=True)
    for old in newest_first[SUMMARIES_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    for old in newest_first[REPORTS_KEPT:SUMMARIES_KEPT]:
        for path in old.iterdir():
            if path.name != "summary.json":
                path.unlink(missing_ok=True)
    for old in newest_first[CSVS_KEPT:REPORTS_KEPT]:
        (old / "values.csv").unlink(missing_ok=True)
