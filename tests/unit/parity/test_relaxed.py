"""Whatever tolerances.yaml allows beyond what ships is named, with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from polygon_fundamentals.parity.kinds import BUDGETED_KINDS
from polygon_fundamentals.parity.relaxed import (
    SHIPPED_LIMITS,
    SHIPPED_TOLERANCES,
    SHIPPED_UNLIMITED,
    relaxed,
)
from polygon_fundamentals.parity.tolerances import Tolerances, load_tolerances

SHIPPED = Path(__file__).parents[3] / "expectations" / "tolerances.yaml"
WHY = "As agreed with the finance team."


def changed(*path: str, **values: object) -> Tolerances:
    """What ships, with other values in one entry."""
    content: Any = yaml.safe_load(SHIPPED.read_text())
    entry = content
    for name in path:
        entry = entry[name]
    entry.update(values, reason=WHY)
    return Tolerances.model_validate(content)


def listed(name: str, **entry: object) -> Tolerances:
    """What ships, with one entry in a list that ships empty."""
    content = yaml.safe_load(SHIPPED.read_text())
    return Tolerances.model_validate({**content, name: [{**entry, "reason": WHY}]})


def test_what_ships_allows_no_more_than_itself() -> None:
    shipped = load_tolerances(SHIPPED)
    assert relaxed(shipped) == []
    assert {name: t.limit for name, t in shipped.tolerances} == SHIPPED_TOLERANCES
    limits = {name: rule.limit for name, rule in shipped.rules if hasattr(rule, "limit")}
    assert limits == SHIPPED_LIMITS
    assert {name for name, rule in shipped.rules if rule.at_most} == set()
    assert (shipped.fields, shipped.scoped_budgets) == ((), ())
    unlimited = {k for k in BUDGETED_KINDS if shipped.budgets[k].at_most == "unlimited"}
    assert unlimited == SHIPPED_UNLIMITED
    assert {shipped.budgets[k].at_most for k in BUDGETED_KINDS if k not in unlimited} == {0}


REVENUE = {"statement": "income_statements", "v2_field": "revenue"}


@pytest.mark.parametrize(
    ("tolerances", "named"),
    [
        (changed("budgets", "unexplained", at_most=1000), "unexplained: up to 1000"),
        (changed("budgets", "unexplained", at_most="unlimited"), "unexplained: any number"),
        (changed("budgets", "missing", at_most="unlimited"), "missing: any number"),
        (changed("budgets", "missing", at_most=3),
         "missing: up to 3 of tickers and as many of periods, in each statement"),
        (listed("scoped_budgets", finding="restated", at_most=4, **REVENUE),
         "restated in income_statements revenue: up to 4"),
        (listed("scoped_budgets", finding="sign", at_most="unlimited", **REVENUE),
         "sign in income_statements revenue: any number"),
        (changed("tolerances", "money", limit=1e6),
         "money: figures less than 1,000,000 apart count as equal but for rounding, not 1"),
        (listed("fields", limit=5e9, **REVENUE), "income_statements revenue: figures less than "
         "5,000,000,000 apart count as equal but for rounding, not 1"),
        (changed("rules", "identities", at_most=500), "identities: up to 500 of each identity"),
        (changed("rules", "fiscal_labels", at_most=40),
         "fiscal_labels: up to 40 in each statement"),
        (changed("rules", "lost_fields", limit=1.0), "lost_fields: a limit of 1, not 0.5"),
        (changed("rules", "freshness", limit=1000), "freshness: a limit of 1000, not 140"),
        (changed("rules", "doubled_periods", limit=1), "doubled_periods: a limit of 1, not 10"),
    ],
)  # fmt: skip
def test_what_is_relaxed_is_named_with_its_reason(tolerances: Tolerances, named: str) -> None:
    assert relaxed(tolerances) == [f"{named} ({WHY})"]


@pytest.mark.parametrize(
    "tolerances",
    [
        changed("budgets", "rounding", at_most=10),
        changed("tolerances", "money", limit=0.5),
        changed("rules", "freshness", limit=30),
        changed("rules", "doubled_periods", limit=20),
        listed("fields", limit=0.1, **REVENUE),
        listed("scoped_budgets", finding="rounding", at_most=3, **REVENUE),
        listed("scoped_budgets", finding="restated", at_most=0, **REVENUE),
    ],
)
def test_what_is_stricter_is_no_decision_to_sign(tolerances: Tolerances) -> None:
    assert relaxed(tolerances) == []
