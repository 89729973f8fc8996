"""Which findings need a person, and the order in which a reviewer sees them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from expectations.outcome import EVERYWHERE, Outcome, RuleResult
from expectations.plugin.values import ExpectFindingToStayWithinItsBudget
from expectations.value_rules import allowed
from polygon_fundamentals.parity.kinds import APART_KINDS, Kind

# What a person has to do about a case: nothing, read what others decided, or decide.
ALLOWED, TO_READ, TO_DECIDE = 0, 1, 2
_DECIDED = (Kind.RESTATED_PROVEN.value, Kind.ACCEPTED.value)


def attention_of(single: pd.DataFrame, outcome: Outcome) -> pd.Series[int]:
    """Return for each case whether a person has to read it, has to decide on it, or neither.

    A person decides on every finding with a limited budget: accepting it changes the answer.
    """
    finding = single["finding"].astype(str)
    attention = pd.Series(ALLOWED, index=single.index).mask(finding.isin(_DECIDED), TO_READ)
    for rule in _budgets(outcome):
        kind, _, field = rule.detail.partition(" · ")
        mine = finding == kind
        if rule.where != EVERYWHERE:
            mine &= single["statement"] == rule.where
        if field:
            mine &= single["v2_field"] == field
        allowed = TO_READ if kind in _DECIDED else ALLOWED
        attention = attention.mask(mine, allowed if rule.at_most is None else TO_DECIDE)
    return attention


def worst_first(single: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """Return the cases in the order in which a reviewer should see them.

    First the findings over their budgets, then what else needs a person, what is allowed, and what
    cannot be compared; within each group the largest difference first.
    """
    over = {rule.detail.split(" · ")[0] for rule in outcome.broken if rule.suite == "values"}
    apart = {kind.value for kind in APART_KINDS}
    finding = single["finding"].astype(str)
    attention = attention_of(single, outcome)
    rank = 4 + 3 * finding.isin(apart).astype(int)
    # What is proven by arithmetic is seldom what a reviewer looks for.
    rank += finding.isin([Kind.ROUNDING.value, Kind.ROUNDED_BY_FILER.value]).astype(int)
    rank = rank.mask(_is_unproven(single), 3)
    is_open = attention > ALLOWED
    rank = rank.mask(is_open, 3 - attention).mask(is_open & finding.isin(over), 0)
    size = single["difference"].abs() / single["v1_value"].abs().clip(lower=1.0)
    # Not `sort_values`, which first looks for duplicates among millions of sizes.
    return single.iloc[np.lexsort((-size.fillna(-1).to_numpy(), rank.to_numpy()))]


def findings_of(outcome: Outcome, single: pd.DataFrame) -> list[dict[str, object]]:
    """Return the budgets of the findings that occur, those that need a person first."""
    unproven = single.loc[_is_unproven(single), "finding"].astype(str).value_counts()
    listed: list[dict[str, object]] = []
    occurring = [rule for rule in _budgets(outcome) if rule.broken]
    for rule in sorted(occurring, key=lambda rule: (rule.passed, not _asks(rule), -rule.broken)):
        kind, _, field = rule.detail.partition(" · ")
        where = " ".join(filter(None, (rule.where if rule.where != EVERYWHERE else "", field)))
        # The page has a column for how many are allowed.
        at_most = "unlimited" if rule.at_most is None else rule.at_most
        reason = rule.reason.removeprefix(allowed(kind, at_most, ""))
        if not where and not _asks(rule) and (count := int(unproven.get(kind, 0))):
            reason += f" {count:,} of them {'is' if count == 1 else 'are'} not proven."
        listed.append({"kind": kind, "where": where, "rule": rule, "reason": reason})
    return listed


def _budgets(outcome: Outcome) -> list[RuleResult]:
    """The rules on the number of each finding, those of one statement or field last."""
    budget = ExpectFindingToStayWithinItsBudget.__name__
    budgets = [rule for rule in outcome.rules if rule.rule == budget]
    return sorted(budgets, key=lambda rule: (rule.where != EVERYWHERE, " · " in rule.detail))


def _asks(rule: RuleResult) -> bool:
    """Whether a person has to read or decide on a finding: any number may occur of the others."""
    return rule.at_most is not None or rule.detail.partition(" · ")[0] in _DECIDED


def _is_unproven(single: pd.DataFrame) -> pd.Series[bool]:
    details = pd.Categorical(single["detail"])  # each text once, and -1 where there is none
    unproven = np.array([*("not proven" in str(text) for text in details.categories), False])
    return pd.Series(unproven[details.codes], index=single.index)
