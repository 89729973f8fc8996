"""`sharded-load`: a historical load split into flow runs that several workers take.

Each shard is a run of the deployment `history-shard`, so any worker of the pool may take it;
all need the same lake and share one rate limit through the server. A run whose worker died is
found by the lake's ledger, closed as crashed, and started anew: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from prefect import flow, runtime

from flows.historical_load import generations_of
from flows.parameters import ShardedLoadParameters
from flows.runs import Report, flow_run_id, sentence
from flows.runtime.artifacts import publish_load
from flows.shard_runs import Shard, carry_out
from flows.signature import takes
from polygon_fundamentals import ledger
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import refuse_archived
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.load.report import UnitFailure
from polygon_fundamentals.reference.tickers import universe as whole_universe
from polygon_fundamentals.settings import lake_root, server_configured
from tasks.context import RunSpec, close, context


def _run_name() -> str:
    given = runtime.flow_run.parameters
    return f"history {given['generation']} · {given['shards']} shards"


@flow(name="sharded-load", flow_run_name=_run_name, persist_result=False)
@takes(ShardedLoadParameters)
def sharded_load(given: ShardedLoadParameters) -> Report:
    """Load all history of the given tickers, split over the workers of the pool.

    Every worker needs the same lake, under the same path. The run fails where a shard did.
    """
    if not server_configured():
        raise UsageError(
            "a sharded load needs a Prefect server and its workers: set PREFECT_API_URL, or "
            "leave out --shards"
        )
    where, names = Lake(lake_root(given.lake)), given.names
    where.prepare()
    if given.generation != "v2":
        refuse_archived(where)
    run = ledger.Run(where, "sharded-load", given.recorded, flow_run_id=flow_run_id())
    with ledger.recorded(run):
        spec = RunSpec(run=run.id, lake=str(where.root), base_url=given.base_url)
        try:
            client = context(spec).client
            if given.universe is not None:
                names = whole_universe(client, active_only=given.universe == "active")
        finally:
            close(spec)
        planned = _planned(where, run.id, names, given.shards)
        carry_out(where, planned, given.of_a_shard(str(where.root)))
        report = _tallied(planned, given.generation, [s.value for s in given.statements])
        run.report.update(
            ok=report["exit_code"] == 0,
            message=report["message"],
            generations={g: report[g] for g in ("v1", "v2") if g in report},
        )
    publish_load("sharded-load", {g: report[g] for g in ("v1", "v2") if g in report})
    return {**report, "lake": str(where.root), "run": run.id}


def _planned(lake: Lake, run: str, tickers: Sequence[str], count: int) -> list[Shard]:
    """Return the shards; their tickers are written to files that every worker can read.

    The names of the files do not reach the ledger's parameters, so a later run of the same
    load finds a shard that was cut off by its tickers.
    """
    folder = lake.ops / "shards" / run
    folder.mkdir(parents=True, exist_ok=True)
    count = min(count, len(tickers))
    made = []
    for number in range(count):
        mine = list(tickers[number::count])
        file = folder / f"shard-{number + 1:03}.txt"
        replace_file(file, "\n".join(mine).encode() + b"\n")
        made.append(Shard(number + 1, mine, file))
    return made


def _tallied(shards: list[Shard], generation: str, statements: list[str]) -> Report:
    """Return the report over all shards; units of a shard without a report are missing."""
    reports: dict[str, Report] = {}
    for which in generations_of(generation):
        total: Report = {}
        for shard in shards:
            part = (shard.report.get("generations") or {}).get(which.value)
            units = len(shard.tickers) * len(statements)
            if part is None:
                reason = f"shard {shard.number}: {shard.problem or 'no report'}"
                failed = [
                    asdict(UnitFailure(t, s, reason)) for t in shard.tickers for s in statements
                ]
                part = {"units": units, "failed": failed}
            _add(total, part)
        counts = ("requests", "retries", "rows_received", "rows_new", "rows_changed")
        more = ("rows_unchanged", "bytes_written", "units_resumed", "seconds")
        reports[which.value] = {
            **dict.fromkeys((*counts, *more), 0),
            "tickers_without_rows": [],
            **total,
        }
    code = 3 if any(found["failed"] for found in reports.values()) else 0
    dates = _dates(shards)
    message = f"{len(shards)} shards; {sentence(reports)}"
    if "error" in dates:
        message += f"; original dates: {dates['error']}"
    return {
        **reports,
        **({"original_dates": dates} if dates else {}),
        "shards": [
            {
                "shard": shard.number,
                "tickers": len(shard.tickers),
                "ok": bool(shard.report.get("outcome") == ledger.SUCCEEDED),
                "attempts": shard.attempts,
                "host": shard.report.get("host"),
                "detail": shard.problem or shard.report.get("message", ""),
            }
            for shard in shards
        ],
        "exit_code": max([code, *(shard.report.get("exit_code", 0) for shard in shards)]),
        "message": message,
    }


def _dates(shards: list[Shard]) -> Report:
    """Return what the filings index told all shards, and as `error` why it did not tell some."""
    total: Report = {}
    reasons: dict[str, None] = {}
    for shard in shards:
        found = dict(shard.report.get("original_dates") or {})
        if "error" in found:
            reasons[found.pop("error")] = None
        _add(total, found)
    return {**total, "error": "; ".join(reasons)} if reasons else total


def _add(total: Report, part: Report) -> None:
    """Add a shard's numbers and lists to the total; seconds are the longest shard's."""
    for name, value in part.items():
        if name == "seconds":
            total[name] = max(total.get(name, 0.0), value)
        elif isinstance(value, bool) or value is None or isinstance(value, str):
            total.setdefault(name, value)
        elif isinstance(value, int | float):
            total[name] = total.get(name, 0) + value
        elif isinstance(value, list):
            total[name] = [*total.get(name, []), *value]
