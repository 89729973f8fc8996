"""Which of v1's values v2 should have but lacks: a null is a difference where a line is usual.

v2 sends null, or no key, for a line that a company does not report, and its templates for banks and
insurers leave lines out. Everywhere else a null in place of v1's figure is as wrong as a zero.
"""

from __future__ import annotations

import numpy as np

from polygon_fundamentals.field_map import Confidence, primary_pairs
from polygon_fundamentals.parity.paired import (
    HABIT,
    Flags,
    Pair,
    Paired,
    Positions,
    count_by_company,
    is_habit,
    or_zero,
)
from polygon_fundamentals.statements import Statement

# Every company has these in every record; the readers' check that ships asks for them as well.
OF_EVERY_COMPANY = {
    Statement.BALANCE_SHEETS: ("total_assets", "total_liabilities", "total_equity"),
    Statement.CASH_FLOW: ("net_cash_from_operating_activities",),
    Statement.INCOME_STATEMENTS: ("consolidated_net_income_loss",),
}
# v2's template for banks has no key for either, its template for insurers none for the second.
_NOT_IN_EVERY_TEMPLATE = {Statement.INCOME_STATEMENTS: ("interest_expense", "research_development")}


def uncertain_fields(statement: Statement) -> list[str]:
    """Return the v2 fields whose pair the field map is not sure of.

    A bank's interest income is one: v2 has it within revenue.
    """
    return [e.v2 for e in primary_pairs(statement) if e.confidence is Confidence.LOW and e.v2]


def lost_lines(paired: Paired, pair: Pair, parts: Positions) -> Flags:
    """Return in which periods v2 lacks a value of v1 although the company usually has the line.

    Usually means in at least three quarters or years of v1, and for a line that a template may
    leave out, in as many of v2. Twelve months and derived quarters count only if no part of them
    is absent, since v2 could not add them up otherwise. If not all of their `parts`
    (`Derivations.parts`) are here, the line must also be in most of the company's quarters and
    years.
    """
    statement, field = paired.statement, pair.v2_field
    there = or_zero(pair.expected) != 0
    null: Flags = there & np.isnan(pair.actual)
    if field in OF_EVERY_COMPANY[statement] or not null.any():
        return null
    filed = ~paired.is_timeframe("ttm") & ~paired.is_derived_quarter
    absent: Flags = ~there & np.isnan(pair.actual)
    usual = count_by_company(paired, filed & there) >= HABIT
    often = is_habit(paired, filed & there, filed & absent)
    known = filed | (parts >= 0).all(axis=1)
    lost: Flags = null & np.where(known, usual, often) & ~_lacks_a_part(paired, absent, null, parts)
    if field in (*uncertain_fields(statement), *_NOT_IN_EVERY_TEMPLATE.get(statement, ())):
        lost &= count_by_company(paired, filed & (or_zero(pair.actual) != 0)) >= HABIT
    return lost


def _lacks_a_part(paired: Paired, absent: Flags, null: Flags, parts: Positions) -> Flags:
    """Which derived quarters and twelve months have a part that v2 cannot have.

    Such a part is absent in both generations, or is itself a derived quarter that lacks one.
    """
    derived = paired.is_derived_quarter & _any_part(parts, absent)
    without = absent | (derived & null)
    return derived | (paired.is_timeframe("ttm") & _any_part(parts, without))


def _any_part(parts: Positions, flags: Flags) -> Flags:
    return np.asarray(((parts >= 0) & flags[parts]).any(axis=1))
