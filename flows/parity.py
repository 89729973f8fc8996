"""`parity`: compare both generations, run the rules, build the data docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime

from expectations.answer import TOLERANCES_FILE
from expectations.summary import Asked
from flows.compare_tasks import compare_statements
from flows.parameters.lake import ParityParameters
from flows.runs import Report, is_deployed, one_by_one, recorded_run, wait_for_update
from flows.runtime.artifacts import publish_text
from flows.runtime.progress import still_running
from flows.signature import takes
from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import day_of, today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.processes import give_large_blocks_back
from polygon_fundamentals.ledger.v1_endpoint import LEDGER_DAYS, v1_endpoint
from polygon_fundamentals.parity.coverage import expect_every_statement
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.run import (
    names_found_missing,
    names_to_look_up,
    sampled,
    v1_tickers,
    v2_tickers,
)
from polygon_fundamentals.parity.tolerances import load_accepted, load_tolerances
from polygon_fundamentals.reference.edgar_cache import EdgarCache
from polygon_fundamentals.reference.tickers import Known, known_tickers
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings import existing_lake_root, load_edgar_settings, load_settings
from polygon_fundamentals.statements import Statement
from polygon_fundamentals.status.follow_up_checks import NOTHING_TO_COMPARE
from tasks.context import RunSpec, find_key, rate_limit
from tasks.parity import accepted_file, drop_dead_work, drop_work, run_rules, statement_folder
from tasks.witness import ask_witness, notes_of

# In the ledger entry and on the first lines of an artifact; the lists are in the report.
_IN_LEDGER = (
    "passed", "compared", "matched", "differences", "counted_apart", "missing_tickers",
    "extra_periods", "tickers_compared", "tickers_not_compared", "tickers_total", "sample", "seed",
    "v1_last_filing", "v1_is_frozen", "rules", "rules_broken", "report", "data_docs", "notes",
)  # fmt: skip


def _run_name() -> str:
    given = runtime.flow_run.parameters
    size = given.get("sample")
    return f"parity · {f'sample of {size}' if size else 'all'}"


@flow(name="parity", flow_run_name=_run_name, task_runner=one_by_one(), persist_result=False)
@takes(ParityParameters)
def parity(given: ParityParameters) -> Report:
    """Compare v1 and v2 in the lake, value by value, and say whether v2 may take over.

    Compares all tickers of v1 unless some are named or sampled. Writes a report and the data docs
    under `ops/parity/`, and changes no data. The API is asked only what became of tickers that v2
    lacks; without a network or a key, they count as missing unless known from before. With a
    witness, SEC EDGAR is asked about the companies whose differences its filings could settle. What
    it said in earlier runs is used without asking.

    With a `day` that is over, compares as if it were today. Status, checklist and sign-off leave
    such a run out.

    A run of the deployment is Completed, with the name Skipped, where the lake has v2 alone.
    """
    day = _day_of(given)
    where = Lake(existing_lake_root(given.lake))
    wait_for_update(where)
    # Within the run's entry, so that the ledger shows a night that ended in an expired acceptance.
    with recorded_run("parity", where, given.recorded) as run:
        everyone, theirs = v1_tickers(where), v2_tickers(where)
        # Somebody who runs it by hand asks for an answer; a schedule must not fail every night.
        if theirs and not everyone and is_deployed():
            run.report.update(nothing_to_compare=True, message=NOTHING_TO_COMPARE)
            return {**run.report, "run": run.id, "exit_code": 0}
        load_tolerances(TOLERANCES_FILE)
        load_accepted(accepted_file(given.accepted), day)
        if given.witness:
            load_edgar_settings()
        report = _answered(run, given, day, everyone, theirs)
        run.report.update({name: report[name] for name in _IN_LEDGER})
        run.report.update(ok=report["passed"], message=report["message"])
    _publish(report)
    return {k: v for k, v in report.items() if k != "markdown"}


def _day_of(given: ParityParameters) -> date:
    """Return the day to compare on. Raises UsageError for one to come."""
    today = today_in_new_york()
    if given.day is not None and given.day > today:
        raise UsageError(
            f"the day {given.day} is in the future: today is {today} in New York; give an earlier "
            "day, or leave it out to compare as of today"
        )
    return given.day or today


def _answered(
    run: ledger.Run,
    given: ParityParameters,
    day: date,
    everyone: Sequence[str],
    theirs: AbstractSet[str],
) -> Report:
    """Compare the tickers of v1 (`everyone`) with those of v2 (`theirs`); return the report."""
    give_large_blocks_back()
    log, where = get_run_logger(), run.lake
    named, sample, seed = given.names, given.sample, given.seed
    _refuse_incomparable(where, named, everyone, theirs)
    chosen: list[str] | None = list(named) or None
    if sample is not None:
        chosen = sampled(everyone, sample, seed)
    running = {entry.run for entry in ledger.read_entries(where)[0] if entry.is_running}
    drop_dead_work(where, running)
    spec = RunSpec(
        run=run.id, lake=str(where.root), base_url=given.base_url, accepted=given.accepted
    )
    try:
        lacking = names_to_look_up(where, everyone if chosen is None else chosen)
        known = _compared(spec, chosen, lacking, day)
        if known.note:
            log.warning(known.note)
        entries = ledger.read_entries(where, datetime.now(UTC) - LEDGER_DAYS)[0]
        witness = None
        if given.witness or EdgarCache(where).has_facts():
            witness = ask_witness(spec, known.tickers, asking=given.witness is not None)
        for note in notes_of(witness):
            log.info(note)
        asked = Asked(
            run=run.id,
            tickers_total=len(everyone),
            sample=sample,
            seed=seed,
            named=bool(named),
            today=day,
            v1_is_frozen=v1_endpoint(entries, datetime.now(UTC)).retired,
            notes=tuple(filter(None, (_other_file(given), known.note, *notes_of(witness)))),
            as_if=given.day is not None and day != day_of(run.started),
        )
        result = run_rules(spec, "all rules", asked)
    finally:
        drop_work(where, run.id)
    return {
        **result,
        **({"witness": witness} if witness else {}),
        "run": run.id,
        "exit_code": 0 if result["passed"] else 1,
        "message": _sentence(result),
    }


def _refuse_incomparable(
    lake: Lake, named: Sequence[str], everyone: Sequence[str], theirs: AbstractSet[str]
) -> None:
    """Raise UsageError where a generation has no records, or a named ticker is in neither."""
    if not everyone:
        raise UsageError(
            f"the lake {lake.root} has no records of v1 to compare; store recordings of v1's "
            "answers with `polygon-fundamentals import-v1`, or go on without v1 "
            "(docs/migration.md, A lake without v1)"
        )
    if not theirs:
        raise UsageError(
            f"the lake {lake.root} has no records of v2 to compare; load it first: "
            "`polygon-fundamentals historical-load --generation v2`"
        )
    if unknown := sorted(set(named) - set(everyone) - theirs):
        raise UsageError(f"not in the lake: {', '.join(unknown[:5])}; load them first")


def _other_file(given: ParityParameters) -> str | None:
    return f"the accepted differences are those of {given.accepted}" if given.accepted else None


def _compared(spec: RunSpec, chosen: list[str] | None, lacking: Sequence[str], day: date) -> Known:
    """Compare; return the reference entries of `lacking` and of what the comparison finds missing.

    If it finds more missing, these are looked up too, and their companies compared again.
    """
    where = Lake(Path(spec.lake))
    client = partial(_client, where, spec.base_url)

    def look_up(names: Sequence[str]) -> Known:
        with still_running(f"parity looks up {counted(len(names), 'name')} that v2 lacks"):
            return known_tickers(where, names, client, day)

    known = look_up(lacking)
    compare_statements(spec, chosen, known.tickers, day)
    findings = [StatementFindings(s, statement_folder(spec, s)) for s in Statement]
    if unasked := set(names_found_missing(findings)) - set(lacking):
        known = look_up([*lacking, *unasked])
        drop_work(where, spec.run)
        compare_statements(spec, chosen, known.tickers, day)
    expect_every_statement(findings)
    return known


def _client(where: Lake, base_url: str | None) -> Client:
    """A client that gives up soon, since parity has an answer without it."""
    settings = replace(load_settings(base_url), attempts=2, deadline=20.0, connect_timeout=5.0)
    return Client(settings, find_key(), rate_limit(where, settings))


def _sentence(result: Mapping[str, Any]) -> str:
    if result["passed"]:
        return f"passed: {result['compared']:,} values compared, {result['matched']:,} equal"
    rules = list(dict.fromkeys(broken["rule"] for broken in result["rules_broken"]))
    return f"not passed: broken: {'; '.join(rules)}; see {result['data_docs']}"[:500]


def _publish(report: Report) -> None:
    """Publish the totals, and the review page's path: no browser opens a file: link of the UI."""
    publish_text("parity", report["markdown"], "Totals by statement and field.")
    publish_text(
        "parity-data-docs",
        f"Open this file in a browser:\n\n`{report['data_docs_run']}`\n",
        "Which rules hold, and what breaks them: tickers, periods, both values.",
    )
