"""Each rule broken on real frames: just that rule fails, and says whom it concerns."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from great_expectations.core.batch_manager import BatchManager

from expectations.outcome import Outcome, RuleResult
from expectations.plugin import rules, values
from polygon_fundamentals.business_days import STALE_DAYS, today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.frames import FRAMES
from polygon_fundamentals.statements import Generation
from tests.builders.broken_lakes import BREAKS, CF, V1, V2, first_ticker, lose_period
from tests.filled import change_rows, set_column
from tests.unit.expectations.checking import checkpoint


def checked(lake: Lake, today: date | None = None) -> list[RuleResult]:
    """The results of all rules on the cash flow statements."""
    return list(run_rules(lake, today).rules)


def run_rules(lake: Lake, today: date | None = None) -> Outcome:
    return checkpoint(lake, [CF], today or today_in_new_york())


def test_no_frame_stays_in_memory_after_the_checkpoint(
    whole_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Great Expectations keeps its context, and with it kept 350 MB of a market of 6,000."""
    frames: list[weakref.ref[pd.DataFrame]] = []
    really = BatchManager.save_batch_data

    def saved(manager: BatchManager, batch_id: str, batch_data: Any) -> None:
        frames.append(weakref.ref(batch_data.dataframe))
        really(manager, batch_id, batch_data)

    monkeypatch.setattr(BatchManager, "save_batch_data", saved)
    run_rules(whole_lake)
    gc.collect()
    assert len({id(frame) for frame in frames}) >= len(FRAMES)
    assert [frame() for frame in frames if frame() is not None] == []


# The first way to break each rule is quick; `make test-all` runs them all.
FIRST_OF_EACH = [
    pytest.param(*case, marks=pytest.mark.slow if case[0] in [c[0] for c in BREAKS[:n]] else ())
    for n, case in enumerate(BREAKS)
]


@pytest.mark.parametrize(("rule", "breaks", "detail", "least"), FIRST_OF_EACH)
def test_just_the_broken_rule_fails(
    broken_lake: Callable[[], Lake],
    rule: type,
    breaks: Callable[[Lake], None],
    detail: str,
    least: int,
) -> None:
    lake = broken_lake()
    breaks(lake)
    outcome = run_rules(lake)
    assert not outcome.passed
    failed = outcome.broken
    assert [(r.rule, r.detail, r.error) for r in failed] == [(rule.__name__, detail, "")]
    assert failed[0].broken >= least
    # A rule on whole statements or fields names no ticker.
    if failed[0].cases and failed[0].cases[0].get("ticker", "–") != "–":
        tickers = {case["ticker"] for case in failed[0].cases}
        assert tickers == {first_ticker_of(failed[0], lake)}


def first_ticker_of(result: RuleResult, lake: Lake) -> str:
    return sorted({ticker for _, ticker, _ in lake.dataset(V1, CF).files()})[0]


def test_what_great_expectations_says_names_each_case(broken_lake: Callable[[], Lake]) -> None:
    lake = broken_lake()
    lose_period(lake)
    every = run_rules(lake).said["periods"]["results"]
    [rule] = [r for r in every if not r["success"]]
    [case] = rule["result"]["partial_unexpected_index_list"]
    assert [case[n] for n in ("ticker", "timeframe", "period_end", "state")] == [
        first_ticker(lake),
        "quarterly",
        "2024-06-30",
        "missing",
    ]


def test_periods_that_v2_has_alone_are_not_counted_as_v1s() -> None:
    rows = pd.DataFrame({"state": ["present"] * 7 + ["missing"] * 3 + ["extra"] * 5})
    rule = rules.ExpectEveryV1PeriodToBeInV2(
        may_stand={"present": None, "missing": 0, "extra": None}
    )
    shown = rule._observed(rows, 3, rule._of(rows))
    assert shown == "3 of 10 periods of v1 (30 %); 5 periods in v2 alone"


def test_every_rule_holds_on_identical_facts(whole_lake: Lake) -> None:
    # The rules of the other statements hold too where there is nothing to judge.
    outcome = checkpoint(whole_lake, [CF], today_in_new_york(), every_rule=True)
    assert outcome.passed
    assert [r for r in outcome.rules if not r.passed or r.error] == []
    every = {n for module in (rules, values) for n in vars(module) if n.startswith("Expect")}
    assert {r.rule for r in outcome.rules} == every
    assert {r.of for r in outcome.rules if r.suite == "tickers" and r.where == CF.value} == {3}
    # A percentage is of all that was compared, not of what differs.
    equal = [r for r in outcome.rules if r.rule == "ExpectV2ValueToEqualV1" and r.where == CF.value]
    assert max(r.of for r in equal) > 20


def add_half_year(lake: Lake) -> None:
    """A record of a timeframe that nobody knows."""

    def change(table: pa.Table) -> pa.Table:
        row = set_column("timeframe", lambda t: ["semi_annual"])(table.slice(0, 1))
        return pa.concat_tables([table, row])

    for generation in Generation:
        assert change_rows(lake, generation, CF, change, first_ticker(lake), first_only=True) == 1


def lose_ends(lake: Lake) -> None:
    """A ticker and timeframe of whose periods no end is known."""

    def ends(table: pa.Table) -> list[object]:
        years = pc.equal(table["timeframe"], "annual")
        return list(pc.if_else(years, None, table["period_end"]).to_pylist())

    change_rows(lake, V2, CF, set_column("period_end", ends), first_ticker(lake))


def file_in_the_year_one(lake: Lake) -> None:
    change_rows(lake, V1, CF, set_column("filing_date", lambda t: [date.min] * len(t)))


@pytest.mark.parametrize(
    ("makes_odd", "broken"),
    [
        (add_half_year, []),
        (lose_ends, ["ExpectEveryV1PeriodToBeInV2"]),
        (file_in_the_year_one, []),
    ],
)
def test_odd_records_are_no_reason_to_give_no_answer(
    broken_lake: Callable[[], Lake], makes_odd: Callable[[Lake], None], broken: list[str]
) -> None:
    lake = broken_lake()
    makes_odd(lake)
    results = checked(lake)
    assert [r.error for r in results if r.error] == []
    assert [r.rule for r in results if not r.passed] == broken


@pytest.mark.parametrize(
    ("days", "broken"),
    [
        (137, []),  # from a 10-Q on its last day to a 10-K on its last day
        (STALE_DAYS + 2, [("ExpectV2ToBeFresh", CF.value)]),
    ],
)
def test_a_lake_is_stale_after_as_many_days_as_status_says(
    whole_lake: Lake, days: int, broken: list[tuple[str, str]]
) -> None:
    results = checked(whole_lake, today_in_new_york() + timedelta(days=days))
    assert [(r.rule, r.where) for r in results if not r.passed] == broken


def test_the_same_content_twice_is_one_record(broken_lake: Callable[[], Lake]) -> None:
    lake = broken_lake()
    for generation in Generation:
        twice = lambda t: pa.concat_tables([t, t])  # noqa: E731
        assert change_rows(lake, generation, CF, twice) > 0
    assert [r.rule for r in checked(lake) if not r.passed] == []
