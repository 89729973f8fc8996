"""What to do about each rule that is broken."""

from __future__ import annotations

import re
import shlex

import pytest

from expectations.outcome import EVERYWHERE, Outcome, RuleResult, _reason
from expectations.plugin import rules
from expectations.plugin.values import ExpectFindingToStayWithinItsBudget
from expectations.remedies import TICKERS_NAMED, broken_rules
from expectations.suites import make_suites
from expectations.templates import template
from expectations.value_rules import allowed
from flows.commands.parser import parser
from polygon_fundamentals.parity.kinds import Kind
from tests.unit.expectations.checking import TOLERANCES

PERIODS = rules.ExpectEveryV1PeriodToBeInV2.__name__
BUDGET = ExpectFindingToStayWithinItsBudget.__name__


def broken(
    rule: str, *tickers: str, detail: str = "", where: str = "cash_flow", **more: str
) -> RuleResult:
    cases = [{"ticker": ticker, **more} for ticker in tickers]
    return RuleResult(
        rule, "Title", detail, where, "s", False, len(cases), 99, cases, "", noun="periods of v1"
    )


def remedy(*results: RuleResult) -> str:
    [one] = broken_rules(Outcome(False, results, {}))
    return one.remedy


def commands(text: str) -> list[str]:
    return [c for c in re.findall(r"`([^`]+)`", text) if c.startswith("polygon-fundamentals ")]


def every_rule() -> list[RuleResult]:
    """One result of each rule of the suites, and of each finding that has a budget."""
    kinds = [
        (type(rule).__name__, getattr(rule, "finding", ""), rule.statement or EVERYWHERE)
        for suite in make_suites(TOLERANCES, ())
        for rule in suite.expectations
    ]
    return [
        broken(name, "AAPL", detail=detail, where=w) for name, detail, w in dict.fromkeys(kinds)
    ]


def test_each_rule_of_the_suites_says_what_to_do_by_commands_that_exist() -> None:
    named = set()
    for result in every_rule():
        text = remedy(result)
        assert "added to the project" not in text
        assert text.endswith("."), text
        for command in commands(text):
            parser("polygon-fundamentals").parse_args(shlex.split(command)[1:])
            named.add(shlex.split(command)[1])
        for key in re.findall(r"raise `at_most` under `(\w+)`", text):
            assert hasattr(TOLERANCES.rules, key)
        for key in re.findall(r"raise `(\w+)` in", text):
            assert Kind(key) in TOLERANCES.budgets
    assert named == {"historical-load", "refresh", "daily-update", "parity"}


def test_a_rule_that_is_broken_in_three_statements_has_one_remedy() -> None:
    results = [
        broken(PERIODS, "BBAX", "$(rm)", where="cash_flow", state="missing"),
        broken(PERIODS, "AAAX", where="balance_sheets", state="missing"),
    ]
    text = remedy(*results)
    assert commands(text)[0] == (
        "polygon-fundamentals historical-load --generation v2 --tickers AAAX,BBAX"
    )
    assert "report it to the vendor, raise `missing` in `expectations/tolerances.yaml`" in text
    assert "silver keeps v1's record" in text
    many = remedy(broken(PERIODS, *(f"T{n:02}" for n in range(12)), state="missing"))
    assert many.endswith(f"the first {TICKERS_NAMED} tickers; the cases name the others.")


def test_what_is_broken_by_a_state_other_than_missing_is_not_called_missing() -> None:
    text = remedy(broken(PERIODS, "AAPL", state="extra"))
    assert "raise `extra` in" in text
    assert commands(text) == []


@pytest.mark.parametrize("detail", ["restated", "restated · revenue"])
def test_a_budget_of_a_statement_is_raised_where_it_stands(detail: str) -> None:
    whole = remedy(broken(BUDGET, "AAPL", detail=detail, where=EVERYWHERE))
    assert "raise `restated` in `expectations/tolerances.yaml`" in whole
    scoped = remedy(broken(BUDGET, "AAPL", detail=detail))
    assert "raise `restated` under `scoped_budgets` in" in scoped


def test_a_rule_that_somebody_added_or_that_failed_is_named_as_such() -> None:
    assert "added to the project" in remedy(broken("ExpectColumnToExist"))
    failed = RuleResult(PERIODS, "", "", "cash_flow", "s", False, 1, 0, [], "no such column")
    assert remedy(failed).startswith("Run `polygon-fundamentals parity` again")
    assert failed.verdict == "could not be evaluated"
    assert broken(PERIODS, "A", "B").verdict == "broken by 2 of 99 periods of v1"


def test_the_page_says_what_is_broken_and_what_to_do() -> None:
    source = template("review.html").environment.loader.get_source(  # type: ignore[union-attr]
        template("review.html").environment, "review.html"
    )[0]
    part = source[source.index("{% if broken %}") : source.index("{% if rule_cases %}\n<h2")]
    page = template("review.html").environment.from_string(part)
    shown = broken_rules(Outcome(False, (broken(PERIODS, "BBAX", state="missing"),), {}))
    drawn = page.render(broken=shown, rule_cases=[])
    assert "cash_flow: broken by 1 of 99 periods of v1" in drawn
    command = "polygon-fundamentals historical-load --generation v2 --tickers BBAX"
    plain = drawn.replace('<span class="option">', "").replace("</span>", "")
    assert f"<code>{command}</code>" in plain


def test_the_reason_is_that_of_the_state_that_breaks_the_rule() -> None:
    notes = [allowed(state, 0, "Because.") for state in ("delisted", "renamed", "missing")]
    assert _reason(notes, [{"state": "missing"}]) == "0 'missing' are allowed. Because."
    assert _reason(notes, [{"ticker": "A"}]) == notes[0]
    assert _reason([], []) == ""
