"""Whether v1 can be primary again, and whether it changed since the cutover."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import missed_since
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.context import SwitchContext
from polygon_fundamentals.cutover.journal import CUTOVER, Journal
from polygon_fundamentals.errors import AnswerIsNo, LakeError
from polygon_fundamentals.lake import archived_rows
from polygon_fundamentals.lake.listing import states
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.pointer import holds_data
from polygon_fundamentals.ledger.queries import load_spans
from polygon_fundamentals.ledger.v1_endpoint import LEDGER_DAYS, v1_endpoint
from polygon_fundamentals.statements import Generation, Statement


def v1_changed_since(lake: Lake, before: Journal, context: SwitchContext) -> bool:
    """Return whether silver of before a cutover may lack something that v1 holds now.

    A load of one ticker counts, though it does not make a day complete. Other files too: those
    into which a load of v2 moved v1 rows that an old script had written through the pointer.
    """
    since = ledger.read_entries(lake, journals.moment(before))[0]
    if load_spans(since, Generation.V1, context.clock()):
        return True
    began_ns = datetime.fromisoformat(before.started).timestamp() * 1e9
    return any(
        state.changed_ns >= began_ns
        for statement in Statement
        for state in states(lake.dataset(Generation.V1, statement))
    )


def refuse_rollback(lake: Lake, v1_days: Sequence[date], today: date, accept_stale: bool) -> str:
    """Return in words that v1 can be primary again.

    Raises:
        LakeError: v1's data is not there.
        AnswerIsNo: it missed business days since the cutover.
    """
    folder = lake.generation_folder(Generation.V1)
    if not holds_data(folder):
        if not any((lake.root / "archive").glob("fundamentals_v1_*")):
            raise LakeError(
                f"{folder} is not there, nor an archive of it in {lake.root / 'archive'}, so "
                "readers cannot go back to v1; `polygon-fundamentals export --shape v1` writes "
                "v2's records in v1's form"
            )
        raise LakeError(
            f"{folder} is not there any more; bring it back with "
            "`polygon-fundamentals restore --execute`, then roll back"
        )
    if archived_rows.archived_since(lake) is not None:
        raise LakeError(
            "v1 is in the archive that `cleanup` made, and its folder holds only what was loaded "
            "since; join the two with `polygon-fundamentals restore --execute`, then roll back"
        )
    before = journals.last_done(lake, CUTOVER)
    if before is None:
        return "v1's data is there; no journal of a cutover"
    missed = missed_since(journals.moment(before), v1_days, today)
    if missed and not accept_stale:
        now = journals.now()
        endpoint = v1_endpoint(ledger.read_entries(lake, now - LEDGER_DAYS)[0], now)
        remedy = "fill them with `rollback --delayed`, or take v1 as it is with --accept-stale"
        if endpoint.retired:
            since = f" since {endpoint.since}" if endpoint.since else ""
            remedy = (
                f"its endpoint is retired{since}, so they cannot be filled; take "
                "v1 as it is with --accept-stale, or give old readers v2's records in v1's form: "
                "`polygon-fundamentals export --shape v1 --continue-v1 --output DIR`"
            )
        raise AnswerIsNo(
            f"v1 missed {len(missed)} business days since the cutover ({missed[0]} to "
            f"{missed[-1]}); {remedy}"
        )
    return f"v1's data is there; {len(missed)} business days missed since the cutover"
