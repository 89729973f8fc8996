"""Which days v1 missed since the cutover, and the remedy, long after it and where v1 is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.switching import v1_days
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.v1_again import refuse_rollback
from polygon_fundamentals.errors import AnswerIsNo
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reports import WindowReport
from polygon_fundamentals.statements import ALL_STATEMENTS, DEFAULT_TIMEFRAMES
from tests.builders.ledger import entry

NOW = datetime(2026, 11, 27, 15, tzinfo=UTC)


def cut_over(lake: Lake, days_ago: int) -> None:
    """Let the cutover be some days ago."""
    done = journals.last_done(lake, "cutover")
    assert done is not None
    done.ended = (NOW - timedelta(days=days_ago)).isoformat()
    done.write()


def test_a_rollback_after_months_counts_every_update_since_the_cutover(switched: Lake) -> None:
    cut_over(switched, 150)
    for days in range(145, 0, -5):
        at = NOW - timedelta(days=days)
        window = {"from": str((at - timedelta(days=7)).date()), "to": str(at.date())}
        entry(
            switched,
            f"n{days}",
            parameters={
                "tickers": [],
                "universe": None,
                "statements": [*ALL_STATEMENTS],
                "timeframes": [*DEFAULT_TIMEFRAMES],
            },
            started=at.isoformat(),
            ended=at.isoformat(),
            outcome="succeeded",
            generations={"v1": WindowReport(units=3, rows_received=5, window=window).as_json()},
        )
    today = (NOW - timedelta(days=4)).date()
    words = refuse_rollback(switched, v1_days(switched), today, accept_stale=False)
    assert words == "v1's data is there; 0 business days missed since the cutover"


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (NOW, r"its endpoint is retired, so they cannot be filled; take v1 as it is with --accep"),
        (NOW - timedelta(days=90), "fill them with `rollback --delayed`, or take v1 as it is"),
    ],
)
def test_a_v1_that_was_never_loaded_is_retired_after_its_sunset(
    switched: Lake, monkeypatch: pytest.MonkeyPatch, now: datetime, words: str
) -> None:
    """A lake whose v1 was imported from recordings has no load of v1 in its ledger."""
    monkeypatch.setattr(journals, "now", lambda: now)
    cut_over(switched, 12)
    with pytest.raises(AnswerIsNo, match=f"v1 missed 8 business days since .*; {words}"):
        refuse_rollback(switched, v1_days(switched), NOW.date(), accept_stale=False)
