"""The rules on values: one for each field, for each budget, and for the accepted differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from great_expectations.expectations.expectation import Expectation

from expectations.plugin import values
from polygon_fundamentals.field_map import Relation, Unit, primary_pairs
from polygon_fundamentals.parity.definitions import has_own_definition
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS
from polygon_fundamentals.parity.tolerances import Accepted, Budget, Tolerances
from polygon_fundamentals.statements import Statement

_RELATIONS = {
    Relation.EXACT: "must equal v1 {v1} in every period: both are the same figure",
    Relation.SIGN_FLIPPED: "must equal v1 {v1} in every period: they have opposite signs, so v1's "
    "is turned before comparing",
    Relation.DEFINITION_DIFFERS: "may differ from v1 {v1} only as far as their two definitions "
    "explain",
}
_UNITS = {Unit.USD: "dollar", Unit.USD_PER_SHARE: "dollar", Unit.SHARES: "share"}


def value_rules(tolerances: Tolerances, accepted: Sequence[Accepted]) -> list[Expectation]:
    """Return the rules on the frame of values, in the order in which they run."""
    return [*_values(tolerances), *_budgets(tolerances), _accepted(accepted)]


def allowed(finding: str, at_most: Any, reason: str) -> str:
    """Return a sentence on how many findings of a kind may occur, and why."""
    some = "Any number of" if at_most == "unlimited" else f"At most {at_most}" if at_most else "0"
    return f"{some} '{finding}' are allowed. {reason}"


def limit_of(budget: Budget) -> int | None:
    """Return how many findings a budget allows, None for any number."""
    return None if budget.at_most == "unlimited" else int(budget.at_most)


def _values(tolerances: Tolerances) -> Iterator[Expectation]:
    for statement in Statement:
        for entry in primary_pairs(statement):
            field = entry.v2 or ""
            tolerance = tolerances.tolerance(statement, field, entry.unit)
            yield values.ExpectV2ValueToEqualV1(
                statement=statement.value,
                v2_field=field,
                limit=tolerance.limit,
                per_share=entry.unit is Unit.USD_PER_SHARE,
                defined_otherwise=has_own_definition(statement, field),
                at_most=0,
                notes=[f"Tolerance: {tolerance.reason}"],
                description=f"v2 {field} "
                f"{_RELATIONS[entry.relation].format(v1=f'{entry.v1} ({entry.label})')}. "
                f"Less than {tolerance.limit:g} "
                f"{_UNITS[entry.unit]}{'s' if tolerance.limit != 1 else ''} apart counts as "
                "rounding. Any other difference needs a finding that its figures and dates allow.",
            )


def _budgets(tolerances: Tolerances) -> Iterator[Expectation]:
    for kind in (*DIFFERENCE_KINDS, *APART_KINDS):
        own = [b for b in tolerances.scoped_budgets if b.finding is kind]
        budget = tolerances.budgets[kind]
        yield values.ExpectFindingToStayWithinItsBudget(
            finding=kind.value,
            at_most=limit_of(budget),
            except_for=[[b.statement.value, b.v2_field] for b in own],
            notes=[allowed(kind.value, budget.at_most, budget.reason)],
            description=f"How many differences are {kind.value}, in all statements together"
            + (", except those with a budget of their own." if own else "."),
        )
        for scoped in own:
            field = scoped.v2_field
            yield values.ExpectFindingToStayWithinItsBudget(
                statement=scoped.statement.value,
                finding=kind.value,
                v2_field=field,
                at_most=limit_of(scoped),
                except_for=[
                    [b.statement.value, b.v2_field]
                    for b in own
                    if field is None and b.v2_field is not None and b.statement is scoped.statement
                ],
                notes=[allowed(kind.value, scoped.at_most, scoped.reason)],
                description=f"How many differences are {kind.value} in "
                f"{scoped.statement.value}{f', {field}' if field else ''}.",
            )


def _accepted(accepted: Sequence[Accepted]) -> Expectation:
    listed = sorted(
        (one.model_dump(mode="json", include=set(values.ACCEPTED_KEY)) for one in accepted),
        key=str,
    )
    return values.ExpectAcceptedDifferenceToBeListed(
        accepted=listed,
        at_most=0,
        notes=[f"{a.statement.value} {a.cik} {a.v2_field}: {a.reason} ({a.by})" for a in accepted]
        or ["accepted.yaml lists nothing."],
        description="accepted.yaml must list each difference that is called accepted, with both "
        "values, a reason, a name and a last day.",
    )
