"""What a team allows beyond the limits that ship: in its tolerances, its budgets and its rules.

The limits that ship are repeated here, since `tolerances.yaml` is the file that the team edits. A
test holds that both are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from polygon_fundamentals.business_days import STALE_DAYS
from polygon_fundamentals.field_map import Unit, primary_pairs
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.tolerances import FieldTolerance, Freshness, Limited, Tolerances

SHIPPED_TOLERANCES = {"money": 1.0, "per_share": 0.005, "shares": 1.0}
SHIPPED_LIMITS = {
    "freshness": STALE_DAYS,
    "behind_v1": 10,
    "plausible_counts": 2,
    "fiscal_labels": 0.5,
    "doubled_periods": 10,
    "lost_fields": 0.5,
}
# The larger a limit, the more it allows; but not where it says how far doubles are looked for.
_LESS_ALLOWS_MORE = {"doubled_periods"}
# Of every other finding the files that ship allow none.
SHIPPED_UNLIMITED = frozenset(
    (
        Kind.ROUNDING, Kind.RESTATED_PROVEN, Kind.ROUNDED_BY_FILER, Kind.SPLIT_ADJUSTED,
        Kind.BANK_NET_OF_INTEREST, Kind.LINE_DEFINITION, Kind.DERIVED_QUARTER, Kind.ACCEPTED,
        Kind.ABSENT_ZERO, Kind.NULL_IN_V2, Kind.NULL_IN_V1, Kind.NOT_COMPARABLE, Kind.DELISTED,
        Kind.RENAMED, Kind.EXTRA,
    )
)  # fmt: skip
# What a budget or a rule counts by itself; the budgets of values count all statements together.
_COVERAGE = " of tickers and as many of periods, in each statement"
_COUNTED = {
    "unique_keys": " in each statement of each generation",
    "identities": " of each identity",
}
_UNIT_NAMES = {Unit.USD: "money", Unit.USD_PER_SHARE: "per_share", Unit.SHARES: "shares"}


def relaxed(tolerances: Tolerances) -> list[str]:
    """Return each entry that allows more than what ships, in words and with its reason."""
    return [*_tolerances(tolerances), *_budgets(tolerances), *_rules(tolerances)]


def _tolerances(tolerances: Tolerances) -> Iterator[str]:
    for name, tolerance in tolerances.tolerances:
        shipped = SHIPPED_TOLERANCES[name]
        if tolerance.limit > shipped:
            yield _wider(name, tolerance.limit, shipped, tolerance.reason)
    for field in tolerances.fields:
        shipped = SHIPPED_TOLERANCES[_unit_of(field)]
        if field.limit > shipped:
            where = f"{field.statement.value} {field.v2_field}"
            yield _wider(where, field.limit, shipped, field.reason)


def _unit_of(field: FieldTolerance) -> str:
    units = {entry.v2: entry.unit for entry in primary_pairs(field.statement)}
    return _UNIT_NAMES[units[field.v2_field]]


def _wider(where: str, limit: float, shipped: float, reason: str) -> str:
    return (
        f"{where}: figures less than {limit:,.12g} apart count as equal but for rounding, not "
        f"{shipped:g} ({reason})"
    )


def _budgets(tolerances: Tolerances) -> Iterator[str]:
    for kind, budget in tolerances.budgets.items():
        if budget.at_most != 0 and kind not in SHIPPED_UNLIMITED:
            each = _COVERAGE if kind is Kind.MISSING and budget.at_most != "unlimited" else ""
            yield f"{kind.value}: {_up_to(budget.at_most)}{each} ({budget.reason})"
    for own in tolerances.scoped_budgets:
        if own.at_most != 0 and own.finding not in SHIPPED_UNLIMITED:
            where = " ".join(filter(None, (own.statement.value, own.v2_field)))
            yield f"{own.finding.value} in {where}: {_up_to(own.at_most)} ({own.reason})"


def _up_to(at_most: int | str) -> str:
    return "any number" if at_most == "unlimited" else f"up to {at_most}"


def _rules(tolerances: Tolerances) -> Iterator[str]:
    for name, rule in tolerances.rules:
        if rule.at_most:
            each = _COUNTED.get(name, " in each statement")
            yield f"{name}: up to {rule.at_most}{each} ({rule.reason})"
        if isinstance(rule, Limited | Freshness):
            beyond = rule.limit - SHIPPED_LIMITS[name]
            if (-beyond if name in _LESS_ALLOWS_MORE else beyond) > 0:
                was = f"not {SHIPPED_LIMITS[name]:g}"
                yield f"{name}: a limit of {rule.limit:g}, {was} ({rule.reason})"
