"""`sharded-load`: a historical load split into flow runs that several workers take.

Each shard is a run of the deployment `history-shard`, so any worker of the pool may take it;
all need the same lake and share one rate limit through the server. A run whose worker died is
found by the lake's ledger, closed as crashed, and started again: it continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow, runtime

from flows.historical_load import generations_of, lake_of, names_of
from flows.parameters.loads import ShardedLoadParameters
from flows.retired_v1 import retirement_notes
from flows.runs import Report, flow_run_id, sentence
from flows.runtime.artifacts import publish_load
from flows.shard_runs import Shard, carry_out
from flows.signature import takes
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import refuse_archived
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.ledger import RunEntry
from polygon_fundamentals.reports import LoadReport, UnitFailure
from polygon_fundamentals.settings import server_configured
from polygon_fundamentals.statements import Generation
from tasks.context import RunSpec, close, context


def _run_name() -> str:
    given = runtime.flow_run.parameters
    return f"history {given['generation']} · {given['shards']} shards"


@flow(name="sharded-load", flow_run_name=_run_name, persist_result=False)
@takes(ShardedLoadParameters)
def sharded_load(given: ShardedLoadParameters) -> Report:
    """Load all history of the given tickers, split into flow runs for the workers of the pool.

    Every worker needs the same lake, at the same path. The run fails if a shard failed.
    """
    if not server_configured():
        raise UsageError(
            "a sharded load needs a Prefect server and its workers: set PREFECT_API_URL, or "
            "leave out --shards"
        )
    where, names = lake_of(given), given.names
    where.prepare()
    if given.generation != "v2":
        refuse_archived(where)
    run = ledger.Run(where, "sharded-load", given.recorded, flow_run_id=flow_run_id())
    with ledger.recorded(run):
        spec = RunSpec(run=run.id, lake=str(where.root), base_url=given.base_url)
        try:
            client = context(spec).client
            if not names:
                names = names_of(where, given.universe, client)
        finally:
            close(spec)
        # Named tickers make the same shards again by themselves.
        earlier = [] if given.names else _earlier_plan(run)
        planned = _planned(where, run.id, names, given.shards, earlier)
        carry_out(where, planned, given.of_a_shard(str(where.root)))
        report = _summed(planned, given.generation, [s.value for s in given.statements])
        run.report.update(
            ok=report["exit_code"] == 0,
            message=report["message"],
            generations={g: report[g] for g in ("v1", "v2") if g in report},
        )
    publish_load("sharded-load", {g: report[g] for g in ("v1", "v2") if g in report})
    return {**report, "lake": str(where.root), "run": run.id}


def _planned(
    lake: Lake, run: str, tickers: Sequence[str], count: int, earlier: Sequence[list[str]]
) -> list[Shard]:
    """Return the shards; their tickers are written to files that every worker can read.

    The names of the files do not reach the ledger's parameters, so a later run of the same
    load finds a shard that was cut off by its tickers. `earlier` are the shards of a call that was
    cut off: they stay as they are, and tickers that are in none of them come in shards of their
    own. A ticker that has been listed since would make all shards other ones.
    """
    folder = lake.ops / "shards" / run
    folder.mkdir(parents=True, exist_ok=True)
    planned = {ticker for shard in earlier for ticker in shard}
    more = [ticker for ticker in tickers if ticker not in planned]
    count = min(max(count - len(earlier), 1), len(more))
    made: list[Shard] = []
    for mine in (*earlier, *(more[number::count] for number in range(count))):
        number = len(made) + 1
        file = folder / f"shard-{number:03}.txt"
        replace_file(file, "\n".join(mine).encode() + b"\n")
        made.append(Shard(number, mine, file))
    return made


def _earlier_plan(run: ledger.Run) -> list[list[str]]:
    """Return the tickers of each shard of the newest such call that did not succeed; or nothing."""
    for entry in ledger.runs_of_a_day(run.lake, run.flow, run.parameters):
        if entry.outcome == ledger.SUCCEEDED:
            break
        folder = run.lake.ops / "shards" / entry.run
        if files := sorted(folder.glob("shard-*.txt")):
            return [file.read_text(encoding="utf-8").split() for file in files]
    return []


def _summed(shards: Sequence[Shard], generation: str, statements: Sequence[str]) -> Report:
    """Return the report over all shards; units of a shard without a report are missing."""
    reports = {
        which.value: sum((_part(s, which, statements) for s in shards), LoadReport())
        for which in generations_of(generation)
    }
    notes = retirement_notes(reports)
    dates = _dates([shard.entry for shard in shards if shard.entry])
    message = "; ".join([f"{len(shards)} shards; {sentence(reports)}", *notes])
    if "error" in dates:
        message += f"; original dates: {dates['error']}"
    codes = [int(s.entry.content.get("exit_code", 0)) for s in shards if s.entry]
    return {
        **{name: report.as_json() for name, report in reports.items()},
        **({"original_dates": dates} if dates else {}),
        **({"notes": notes} if notes else {}),
        "shards": [_line(shard) for shard in shards],
        "exit_code": max([3 if any(r.failed for r in reports.values()) else 0, *codes]),
        "message": message,
    }


def _part(shard: Shard, generation: Generation, statements: Sequence[str]) -> LoadReport:
    report = shard.entry.generations.get(generation) if shard.entry else None
    if report is not None:
        return report
    reason = f"shard {shard.number}: {shard.problem or 'no report'}"
    lost = tuple(UnitFailure(t, s, reason) for t in shard.tickers for s in statements)
    return LoadReport(units=len(lost), failed=lost)


def _line(shard: Shard) -> Report:
    entry = shard.entry
    return {
        "shard": shard.number,
        "tickers": len(shard.tickers),
        "ok": entry is not None and entry.outcome == ledger.SUCCEEDED,
        "attempts": shard.attempts,
        "host": entry.host if entry else None,
        "detail": shard.problem or (entry.message if entry else ""),
    }


def _dates(entries: Sequence[RunEntry]) -> Report:
    """Return what the filings index answered to all shards; `error` says why it failed for some.

    Counts are added up, and lists joined.
    """
    total: Report = {}
    reasons: dict[str, None] = {}
    for entry in entries:
        for name, value in (entry.content.get("original_dates") or {}).items():
            if name == "error":
                reasons[value] = None
            else:
                total[name] = total[name] + value if name in total else value
    return {**total, "error": "; ".join(reasons)} if reasons else total
