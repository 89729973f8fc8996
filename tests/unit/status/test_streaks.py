"""Status and checklist say the same of the days in a row, whatever the ledger holds."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from polygon_fundamentals.cutover.checklist import evaluate_checklist
from polygon_fundamentals.cutover.sign_offs import Contacts
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.status import as_json, check_status, gather, load_targets
from tests.builders.ledger import entry
from tests.builders.status_lakes import WHOLE

# A Thursday before the sunset, and one after it: then v1's silence means that it is gone.
MOMENTS = (datetime(2026, 8, 13, 12, tzinfo=UTC), datetime(2026, 11, 19, 12, tzinfo=UTC))
GOOD: dict[str, Any] = {"ok": True, "failed": [], "seconds": 2.0}
V1_REPORTS: tuple[dict[str, Any], ...] = (
    GOOD,
    GOOD,
    {"ok": False, "failed": [{"reason": "answered 500", "error": "RetriableApiError"}]},
    {"ok": False, "failed": [{"reason": "answered 410", "error": "RetiredError"}]},
    {"ok": None, "failed": [], "frozen_since": "2026-07-01"},
    {"ok": None, "failed": [], "archived_since": "2026-07-01"},
)


@st.composite
def runs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw daily updates: hours before now, who was asked for, what came of it."""
    return draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "hours": st.integers(-30, 14 * 24),
                    "generation": st.sampled_from(("both", "both", "both", "v1", "v2")),
                    "outcome": st.sampled_from(("succeeded", "succeeded", "failed", "crashed")),
                    "v1": st.sampled_from(V1_REPORTS),
                    "late": st.integers(0, 4),
                    "tickers": st.sampled_from(([], [], [], ["AAA"])),
                }
            ),
            max_size=25,
        )
    )


def write(lake: Lake, number: int, run: dict[str, Any], now: datetime) -> None:
    """Write the entry of a drawn run."""
    started = now - timedelta(hours=run["hours"])
    last = (started - timedelta(days=run["late"])).date()
    window = {"window": {"from": str(last - timedelta(days=7)), "to": str(last)}}
    reports = {"v1": run["v1"] | window, "v2": GOOD | window}
    asked = {g: r for g, r in reports.items() if run["generation"] in (g, "both")}
    entry(
        lake,
        f"run-{number}",
        started=started.isoformat(),
        ended=(started + timedelta(minutes=5)).isoformat(),
        outcome=run["outcome"],
        parameters={
            **WHOLE,
            "generation": run["generation"],
            "tickers": run["tickers"],
            "date": str(started.date()),
        },
        generations=asked,
    )


@settings(max_examples=60, deadline=None)
@given(drawn=runs(), now=st.sampled_from(MOMENTS))
def test_status_and_checklist_agree(drawn: list[dict[str, Any]], now: datetime) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.prepare()
        for number, run in enumerate(drawn):
            write(lake, number, run, now)
        checklist = evaluate_checklist(lake, Thresholds(), Contacts(), clock=lambda: now)
        figures = gather(lake, load_targets(None), now, datasets=[])
        shown = as_json(figures, check_status(figures))
    line = checklist.items[0]
    assert line.name == ("v2 runs" if figures.v1_rests else "parallel runs")
    words = re.search(r"on (\d+) business days? in a row(?: \(\S+ to (\S+)\))?", line.detail)
    days, until = (int(words[1]), words[2]) if words else (0, None)
    assert (shown["days_in_a_row"], shown["days_in_a_row_until"]) == (days, until)
    [row] = [row for row in shown["rows"] if row["name"].endswith("succeeded in a row")]
    assert row["name"].startswith("v2" if figures.v1_rests else "both")
    assert row["ok"] is (True if line.ok and not figures.v1_rests else None)
