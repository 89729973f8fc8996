"""Each rule broken on real frames: just that rule fails, and says whom it concerns."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
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
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.broken_lakes import BREAKS, CF, V1, V2, first_ticker, lose_period
from tests.filled import change_rows, set_column
from tests.unit.expectations.checking import checkpoint, frames_of, judged


def checked(lake: Lake, today: date | None = None) -> list[RuleResult]:
    """The results of all rules on the cash flow statements."""
    return judged(frames_of(lake, [CF], today or today_in_new_york()), [CF])


def run_checkpoint(lake: Lake, statements: Sequence[Statement] = (CF,)) -> Outcome:
    return checkpoint(frames_of(lake, [CF], today_in_new_york()), statements)


def test_every_rule_holds_on_identical_facts_and_no_frame_stays_in_memory(
    whole_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Great Expectations keeps its context, and with it kept 350 MB of a market of 6,000."""
    frames: list[weakref.ref[pd.DataFrame]] = []
    really = BatchManager.save_batch_data

    def saved(manager: BatchManager, batch_id: str, batch_data: Any) -> None:
        frames.append(weakref.ref(batch_data.dataframe))
        really(manager, batch_id, batch_data)

    monkeypatch.setattr(BatchManager, "save_batch_data", saved)
    # The rules of the other statements hold too where there is nothing to judge.
    outcome = run_checkpoint(whole_lake, list(Statement))
    gc.collect()
    assert len({id(frame) for frame in frames}) >= len(FRAMES)
    assert [frame() for frame in frames if frame() is not None] == []
    assert outcome.passed
    assert [r for r in outcome.rules if not r.passed or r.error] == []
    every = {n for module in (rules, values) for n in vars(module) if n.startswith("Expect")}
    assert {r.rule for r in outcome.rules} == every
    assert {r.of for r in outcome.rules if r.suite == "tickers" and r.where == CF.value} == {3}
    # A percentage is of all that was compared, not of what differs.
    equal = [r for r in outcome.rules if r.rule == "ExpectV2ValueToEqualV1" and r.where == CF.value]
    assert max(r.of for r in equal) > 20


# Rules that one lake can break beside each other; flows/test_parity_rules.py breaks each alone.
TOGETHER: list[list[type]] = [
    [
        rules.ExpectEveryV1TickerToBeInV2,
        rules.ExpectEveryV1PeriodToBeInV2,
        rules.ExpectRecordKeyToBeUnique,
        rules.ExpectV2FileToBeFlat,
        rules.ExpectV2IdentityToHold,
        rules.ExpectNoFilingDateInTheFuture,
        rules.ExpectFiscalLabelsToBeV1s,
        rules.ExpectPeriodNotToBeDoubled,
    ],
    [
        values.ExpectFindingToStayWithinItsBudget,
        rules.ExpectV2NotToLagBehindV1,
        rules.ExpectCountPerTickerToBePlausible,
    ],
    [rules.ExpectFieldNotToBeLost, rules.ExpectNoFilingBeforeItsPeriodEnds],
    [rules.ExpectNoFilingBeforeV1s, rules.ExpectEveryV2RecordToHaveAFilingDate],
]


@pytest.mark.parametrize("together", TOGETHER)
def test_just_the_broken_rules_fail(broken_lake: Callable[[], Lake], together: list[type]) -> None:
    lake = broken_lake()
    cases = [next(case for case in BREAKS if case[0] is rule) for rule in together]
    for _, breaks, _, _ in cases:
        breaks(lake)
    failed = {(r.rule, r.detail): r.broken for r in checked(lake) if not r.passed}
    least = {(rule.__name__, detail): number for rule, _, detail, number in cases}
    assert failed.keys() == least.keys()
    assert [name for name, number in failed.items() if number < least[name]] == []


def test_what_great_expectations_says_names_each_case(broken_lake: Callable[[], Lake]) -> None:
    lake = broken_lake()
    lose_period(lake)
    outcome = run_checkpoint(lake)
    assert not outcome.passed
    every = outcome.said["periods"]["results"]
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


@pytest.mark.parametrize(
    ("broken", "of", "share"),
    [
        (0, 3, ""),
        (3, 3, " (100 %)"),
        (9, 3, " (300 %)"),
        (3_700, 3, " (123,333 %)"),
        (1_999, 2_000, " (99.9 %)"),
        (99, 100, " (99 %)"),
        (2, 3, " (67 %)"),
        (1, 300, " (0.33 %)"),
        (1, 2_000_000, " (less than 0.01 %)"),
    ],
)
def test_a_share_is_written_without_an_exponent(broken: int, of: int, share: str) -> None:
    rule = rules.ExpectPeriodNotToBeDoubled(limit=10, at_most=0)
    shown = rule._observed(pd.DataFrame(), broken, of)
    assert shown == f"{broken:,} of {of:,} {rule.noun}{share}"


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


def test_odd_records_are_no_reason_to_give_no_answer(broken_lake: Callable[[], Lake]) -> None:
    lake = broken_lake()
    for makes_odd in (add_half_year, lose_ends, file_in_the_year_one):
        makes_odd(lake)
    results = run_checkpoint(lake).rules
    assert [r.error for r in results if r.error] == []
    assert [r.rule for r in results if not r.passed] == ["ExpectEveryV1PeriodToBeInV2"]


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


def test_a_statement_that_neither_generation_has_need_not_be_fresh(
    broken_lake: Callable[[], Lake],
) -> None:
    lake, sheets = broken_lake(), Statement.BALANCE_SHEETS
    for generation, statement in ((V1, CF), (V2, CF), (V2, sheets)):
        change_rows(lake, generation, statement, lambda table: table.slice(0, 0))
    results = judged(frames_of(lake, [sheets, CF], today_in_new_york()), [sheets, CF])
    broken = [(r.rule, r.where) for r in results if not r.passed]
    assert [rule for rule, where in broken if where == CF.value] == []
    assert ("ExpectV2ToBeFresh", sheets.value) in broken  # what v1 has, v2 must have brought


def test_the_same_content_twice_is_one_record(broken_lake: Callable[[], Lake]) -> None:
    lake = broken_lake()
    for generation in Generation:
        twice = lambda t: pa.concat_tables([t, t])  # noqa: E731
        assert change_rows(lake, generation, CF, twice) > 0
    assert [r.rule for r in checked(lake) if not r.passed] == []
