"""The suites: which rules each frame must keep.

They are made of the field map, tolerances.yaml and accepted.yaml: any two lakes have the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from great_expectations.core import ExpectationSuite
from great_expectations.expectations.expectation import Expectation

from expectations.plugin import rules
from expectations.plugin.site import ABOUT
from expectations.value_rules import allowed, limit_of, value_rules
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.lost_fields import left_out_of_templates
from polygon_fundamentals.parity.paired import HABIT
from polygon_fundamentals.parity.records import v2_identities
from polygon_fundamentals.parity.tolerances import Accepted, Rule, Tolerances
from polygon_fundamentals.parity.totals import PRESENT
from polygon_fundamentals.statements import Generation, Statement

# The arguments that distinguish the rules of one class.
_SCOPE = ("statement", "identity", "v2_field", "finding")


def identity(*names: str) -> str:
    """Return the id of an object of Great Expectations, which is the same in every lake."""
    return str(uuid5(NAMESPACE_URL, "polygon-fundamentals/parity/" + "/".join(names)))


def make_suites(tolerances: Tolerances, accepted: Sequence[Accepted]) -> list[ExpectationSuite]:
    """Return a suite for each frame, in the order in which they run."""
    makers = {
        "tickers": _tickers(tolerances),
        "periods": _periods(tolerances),
        "labels": _labels(tolerances),
        "values": value_rules(tolerances, accepted),
        "fields": _lost_fields(tolerances),
        "recency": _recency(tolerances),
        "v1_records": _unique_keys(tolerances, Generation.V1),
        "v2_records": _v2_records(tolerances),
        "v2_files": _v2_files(tolerances),
        "counts": _counts(tolerances),
    }
    return [_suite(name, expectations) for name, expectations in makers.items()]


def _suite(name: str, expectations: Iterable[Expectation]) -> ExpectationSuite:
    suite = ExpectationSuite(
        name=name, id=identity(name), expectations=list(expectations), notes=ABOUT[name]
    )
    for rule in suite.expectations:
        scope = (getattr(rule, part, None) for part in _SCOPE)
        rule.description = f"{rule.heading}. {rule.description}"  # type: ignore[attr-defined]
        rule.id = identity(name, rule.expectation_type, *(str(part) for part in scope if part))
    return suite


def _each(
    kind: Callable[..., Expectation],
    rule: Rule,
    description: str,
    statements: Iterable[Statement] = Statement,
    **more: Any,
) -> Iterator[Expectation]:
    """Yield a rule for each statement, which may be broken as often as tolerances.yaml allows."""
    notes = [f"At most {rule.at_most} cases may break the rule. {rule.reason}"]
    more |= {"at_most": rule.at_most, "notes": notes, "description": description}
    return (kind(statement=statement.value, **more) for statement in statements)


def _each_state(
    kind: Callable[..., Expectation], tolerances: Tolerances, kinds: Sequence[Kind], why: str
) -> Iterator[Expectation]:
    """Yield a rule for each statement on how often each state is allowed."""
    budgets = {kind.value: tolerances.budgets[kind] for kind in kinds}
    limits = {PRESENT: None, **{kind: limit_of(budget) for kind, budget in budgets.items()}}
    notes = [
        allowed(kind, b.at_most, f"Each statement is counted separately. {b.reason}")
        for kind, b in budgets.items()
    ]
    more = {"may_stand": limits, "at_most": 0, "notes": notes, "description": why}
    return (kind(statement=statement.value, **more) for statement in Statement)


def _tickers(tolerances: Tolerances) -> Iterator[Expectation]:
    return _each_state(
        rules.ExpectEveryV1TickerToBeInV2,
        tolerances,
        (Kind.DELISTED, Kind.RENAMED, Kind.MISSING),
        "Each ticker that v1 has must be in v2, under its own name or its company's present one "
        "(renamed), or be known as delisted: v2 covers listed companies only, and silver keeps "
        "v1's records of the others. A ticker in state 'missing' would be lost to readers.",
    )


def _periods(tolerances: Tolerances) -> Iterator[Expectation]:
    yield from _each_state(
        rules.ExpectEveryV1PeriodToBeInV2,
        tolerances,
        (Kind.MISSING, Kind.EXTRA),
        "Each period that v1 has of a company that v2 has must be in v2. Periods are matched by "
        "company, timeframe and period end, never by filing date. Periods of companies that v2 "
        "lacks are counted with their ticker. 'extra' periods are in v2 alone.",
    )
    rule = tolerances.rules.doubled_periods
    yield from _each(
        rules.ExpectPeriodNotToBeDoubled,
        rule,
        f"v2 has no period of its own that ends within {rule.limit:g} days of one that both have, "
        "in the same company and timeframe. Silver would have both, and a join by the latest "
        "period would take the later one.",
        limit=rule.limit,
    )


def _unique_keys(tolerances: Tolerances, generation: Generation) -> Iterator[Expectation]:
    return _each(
        rules.ExpectRecordKeyToBeUnique,
        tolerances.rules.unique_keys,
        "Each record key (company, timeframe, period end and fiscal label) has one content in each "
        "ticker's files. Of an original and its amendment, and of rows appended on different days, "
        "the later counts.",
        generation=generation.value,
    )


def _v2_records(tolerances: Tolerances) -> Iterator[Expectation]:
    yield from _unique_keys(tolerances, Generation.V2)
    for statement in Statement:
        for name in v2_identities(statement):
            yield from _each(
                rules.ExpectV2IdentityToHold,
                tolerances.rules.identities,
                f"In each record of v2 that has these lines: {name}. The two sides may differ by "
                "no more than the rounding of the lines explains.",
                statements=[statement],
                identity=name,
            )
    yield from _each(
        rules.ExpectEveryV2RecordToHaveAFilingDate,
        tolerances.rules.undated_filings,
        "Each record of v2 names the day of its filing. Of a record without it nothing says since "
        "when its figures are known, and no other rule on filing dates judges it.",
    )
    yield from _each(
        rules.ExpectNoFilingDateInTheFuture,
        tolerances.rules.future_filings,
        "A date after the day of the run (in New York) cannot be true: backtests would look ahead.",
    )
    yield from _each(
        rules.ExpectNoFilingBeforeItsPeriodEnds,
        tolerances.rules.filings_before_end,
        "A date before the period's end cannot be true: the date or the period is wrong.",
    )
    yield from _each(
        rules.ExpectNoFilingBeforeV1s,
        tolerances.rules.filings_before_v1,
        "v2's date is that of the latest filing with the period, so it cannot precede v1's first. "
        "With an older one, readers would know figures before anybody filed them.",
    )


def _recency(tolerances: Tolerances) -> Iterator[Expectation]:
    fresh, behind = tolerances.rules.freshness, tolerances.rules.behind_v1
    yield from _each(
        rules.ExpectV2ToBeFresh,
        fresh,
        f"The newest record of v2 was seen at most {fresh.limit:g} days before the run. Up to 137 "
        "days lie between the last 10-Q of a year and the 10-K, so an older lake is not being "
        "updated.",
        limit=fresh.limit,
    )
    yield from _each(
        rules.ExpectV2NotToLagBehindV1,
        behind,
        f"v2's newest filing may be at most {behind.limit:g} days older than v1's, among the "
        "tickers that v2 has too.",
        limit=behind.limit,
    )


def _v2_files(tolerances: Tolerances) -> Iterator[Expectation]:
    return _each(
        rules.ExpectV2FileToBeFlat,
        tolerances.rules.flat_files,
        "Each file of v2 is flat: it has no nested `financials` column, and only columns that "
        "docs/schema.md lists, each of its type.",
    )


def _counts(tolerances: Tolerances) -> Iterator[Expectation]:
    rule = tolerances.rules.plausible_counts
    return _each(
        rules.ExpectCountPerTickerToBePlausible,
        rule,
        "Between a company's first and last period the calendar has one quarter every three "
        f"months and one year every twelve. More than {rule.limit:g} periods beyond that are the "
        "same periods again, under other dates.",
        slack=rule.limit,
    )


def _labels(tolerances: Tolerances) -> Iterator[Expectation]:
    rule = tolerances.rules.fiscal_labels
    return _each(
        rules.ExpectFiscalLabelsToBeV1s,
        rule,
        "v2 gives a period the fiscal year, quarter and end that v1 gives it, in at least "
        f"{1 - rule.limit:.0%} of each company's quarters and years, of the newest four of them, "
        "and of the newest of all companies together. Of twelve months only the end is compared, "
        "since v1 does not label them. Readers that choose periods by fiscal year and quarter, or "
        f"by their end, would otherwise get other periods. Fewer than {HABIT} periods are not "
        "judged.",
        limit=rule.limit,
    )


def _lost_fields(tolerances: Tolerances) -> Iterator[Expectation]:
    rule = tolerances.rules.lost_fields
    for statement in Statement:
        yield from _each(
            rules.ExpectFieldNotToBeLost,
            rule,
            f"v2 may lack at most {rule.limit:.0%} of v1's values of a field that at least half of "
            "the companies have, and must have a value of one that fewer have. Fields that v2 may "
            f"leave out (`left_out`), of which v1 has fewer than {HABIT} values, or that only one "
            "company has, are judged company by company (`lost_in_v2`).",
            statements=[statement],
            limit=rule.limit,
            least_values=HABIT,
            left_out=left_out_of_templates(statement),
        )
