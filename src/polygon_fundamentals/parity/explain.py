"""The finding on every value: matched, rounding, or the best explanation of its difference.

Explanations are tried in a fixed order, and the first that the data proves is the finding.
`restated` and `unexplained` come last: they prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from polygon_fundamentals.field_map import Unit
from polygon_fundamentals.parity.definitions import (
    RESIDUAL_FIELDS,
    bank_net_of_interest,
    contradicts_definition,
    mended_totals,
    proven_line_definition,
)
from polygon_fundamentals.parity.derived import Derivations, derivation_explains, derivations
from polygon_fundamentals.parity.identities import broken_identity
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.lost_lines import lost_lines
from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired, Positions, or_zero
from polygon_fundamentals.parity.rounding import (
    rounded_records,
    rounded_slack,
    rounded_to,
)
from polygon_fundamentals.parity.splits import Splits, find_splits, no_splits, split_explains
from polygon_fundamentals.statements import Statement

# A figure in thousands or millions may be rounded there: 792,943,000 and 793.
_SCALE_SLACK = 0.0005
_POWERS = (-3, -2, -1, 1, 2, 3)
# Equal up to the last bits of a float64.
_SAME = 1e-12
# The last representable digit of a tolerance: 0.125 against 0.13 is off by 0.005 in cents.
_EDGE = 1e-9

_KINDS = tuple(Kind)
_NOTHING = -1


@dataclass(frozen=True)
class Findings:
    """One finding per period of a pair: `kind` as a position in `Kind`, -1 where both are null.

    `detail` says what proves it.
    """

    pair: Pair
    kind: npt.NDArray[np.int8]
    detail: npt.NDArray[np.object_]

    def is_kind(self, kind: Kind) -> Flags:
        """Return which periods have this finding."""
        return self.kind == code_of(kind)


@dataclass(frozen=True)
class Evidence:
    """What the whole statement says about single values."""

    splits: Splits
    rounded: Mapping[float, Flags]
    derived: Derivations
    mended: tuple[Paired, ...]
    v2_filed_later: Flags


def code_of(kind: Kind) -> int:
    """Return the number that stands for a kind in `Findings.kind`."""
    return _KINDS.index(kind)


def gather(paired: Paired, pairs: list[Pair]) -> Evidence:
    """Return a statement's evidence: splits, rounded records, derived quarters, filing dates."""
    per_share = paired.statement is Statement.INCOME_STATEMENTS
    periods = paired.periods
    later = (periods["v2_filing_date"] > periods["v1_filing_date"]).to_numpy(dtype=bool)
    rounded = rounded_records(paired, pairs)
    return Evidence(
        find_splits(paired, pairs) if per_share else no_splits(paired),
        rounded,
        derivations(paired),
        mended_totals(replace(paired, slack=rounded_slack(paired, rounded)), pairs),
        later,
    )


def matched_values(pair: Pair) -> Findings:
    """Return the findings for what is the same on both sides, up to the last bits of a float64."""
    v1, v2 = pair.expected, pair.actual
    same = np.isfinite(v1) & np.isfinite(v2)
    with np.errstate(invalid="ignore", over="ignore"):
        same &= np.abs(pair.difference) <= _SAME * np.maximum(np.abs(v1), np.abs(v2))
    kind = np.where(same, code_of(Kind.MATCHED), _NOTHING).astype(np.int8)
    return Findings(pair, kind, np.full(len(kind), "", dtype=object))


def explain(paired: Paired, pair: Pair, evidence: Evidence, tolerance: float) -> Findings:
    """Return the findings for one pair. `tolerance` is what a difference must stay below."""
    equal = matched_values(pair)
    kind, detail, matched = equal.kind, equal.detail, equal.is_kind(Kind.MATCHED)
    v1, v2 = pair.expected, pair.actual
    _apart(paired, pair, evidence.derived.parts, kind, detail)
    both = np.isfinite(v1) & np.isfinite(v2)
    rounding = both & ~matched & _within(np.abs(pair.difference), tolerance, pair.entry.unit)
    kind[rounding] = code_of(Kind.ROUNDING)
    open_ = both & ~matched & ~rounding
    if not open_.any():
        return Findings(pair, kind, detail)

    def settle(flags: Flags, what: Kind, why: str | npt.NDArray[np.object_]) -> None:
        nonlocal open_
        now = open_ & flags
        kind[now] = code_of(what)
        detail[now] = why if isinstance(why, str) else why[now]
        open_ &= ~now

    flipped = _within(np.abs(v2 + v1), tolerance, pair.entry.unit)
    settle(flipped, Kind.SIGN, "v2 has the opposite sign")
    settle(
        split_explains(paired, pair, evidence.splits),
        Kind.SPLIT_ADJUSTED,
        _split_details(evidence.splits),
    )
    power = _power_of_a_thousand(pair)
    settle(power != 0, Kind.SCALE, _texts(power, {p: f"v2 is v1 times 1000^{p}" for p in _POWERS}))
    unit = rounded_to(paired, pair, evidence.rounded)
    units = {
        1e3: "rounded to the thousand",
        1e5: "rounded to the hundred thousand",
        1e6: "rounded to the million",
    }
    settle(unit != 0, Kind.ROUNDED_BY_FILER, _texts(unit, units))
    settle(
        bank_net_of_interest(evidence.mended[0], pair),
        Kind.BANK_NET_OF_INTEREST,
        "v1 = v2 revenue - cost_of_revenue + other_income_expense",
    )
    broken, identities = broken_identity(paired, pair)
    settle(broken, Kind.V1_BREAKS_IDENTITY, f"v1 fails: {'; '.join(identities)}")
    proven, definition = proven_line_definition(evidence.mended, pair)
    settle(proven, Kind.LINE_DEFINITION, definition)
    settle(_defined(paired, pair, evidence, -1.0), Kind.SIGN, "v2 has the opposite sign")
    for exponent in _POWERS if open_.any() else ():
        scaled = _defined(paired, pair, evidence, 1000.0**-exponent)
        settle(scaled, Kind.SCALE, f"v2 is 1000^{exponent} times what it should be")
    derived, derivation = derivation_explains(paired, pair, evidence.derived)
    settle(derived, Kind.DERIVED_QUARTER, derivation)
    if pair.v2_field in RESIDUAL_FIELDS[paired.statement]:
        agrees = both & ~open_
        against = contradicts_definition(paired, pair, agrees, open_)
        settle(~against, Kind.LINE_DEFINITION, "the definitions differ; not proven")
    settle(evidence.v2_filed_later, Kind.RESTATED, "v2's filing is the later one; not proven")
    settle(open_.copy(), Kind.UNEXPLAINED, "")
    return Findings(pair, kind, detail)


def _defined(paired: Paired, pair: Pair, evidence: Evidence, factor: float) -> Flags:
    """Which values a split or a definition would explain if v2's were multiplied by `factor`.

    Where the two differ by definition, a flipped sign or a wrong scale shows only so.
    """
    changed = replace(pair, actual=pair.actual * factor)
    proven, _ = proven_line_definition(
        [replace(p, v2={**p.v2, pair.v2_field: changed.actual}) for p in evidence.mended], changed
    )
    flags: Flags = (
        proven
        | split_explains(paired, changed, evidence.splits)
        | bank_net_of_interest(evidence.mended[0], changed)
    )
    return np.asarray(flags & (or_zero(pair.actual) != 0))


def _apart(
    paired: Paired,
    pair: Pair,
    parts: Positions,
    kind: npt.NDArray[np.int8],
    detail: npt.NDArray[np.object_],
) -> None:
    """Set in `kind` and `detail` what is not compared: one-sided values, and infinite ones."""
    v1, v2 = pair.expected, pair.actual
    v1_null, v2_null = np.isnan(v1), np.isnan(v2)
    cases = (
        (v1_null & (v2 == 0), Kind.ABSENT_ZERO, "v2 sends 0 for a line that v1 does not have"),
        ((v1 == 0) & v2_null, Kind.ABSENT_ZERO, "v1 sends 0 for a line that v2 does not have"),
        (v1_null & ~v2_null & (v2 != 0), Kind.NULL_IN_V1, ""),
        (~v1_null & v2_null & (v1 != 0), Kind.NULL_IN_V2, ""),
        (lost_lines(paired, pair, parts), Kind.LOST_IN_V2, "the company has this line as a rule"),
        (np.isinf(v1) | np.isinf(v2), Kind.NOT_COMPARABLE, "not a finite number"),
    )
    for flags, what, why in cases:
        kind[flags] = code_of(what)
        detail[flags] = why


def _within(off: Floats, tolerance: float, unit: Unit) -> Flags:
    """Money and shares are off by less than the tolerance, per-share figures by no more."""
    if unit is Unit.USD_PER_SHARE:
        flags: Flags = off <= tolerance + _EDGE
    else:
        flags = off < tolerance
    return flags


def _power_of_a_thousand(pair: Pair) -> npt.NDArray[np.int64]:
    """The power of a thousand between v1 and v2, 0 where there is none."""
    power = np.zeros(len(pair.expected), dtype=np.int64)
    there = (or_zero(pair.expected) != 0) & (or_zero(pair.actual) != 0)
    for exponent in _POWERS:
        target = pair.expected * 1000.0**exponent
        fits = there & (np.abs(pair.actual - target) <= _SCALE_SLACK * np.abs(target))
        power[fits] = exponent
    return power


def _texts(values: npt.NDArray[np.generic], texts: dict[float, str]) -> npt.NDArray[np.object_]:
    """The text for each value, empty where there is none."""
    unique, position = np.unique(values, return_inverse=True)
    table = np.array([texts.get(value.item(), "") for value in unique], dtype=object)
    return table[position]


def _split_details(splits: Splits) -> npt.NDArray[np.object_]:
    unique, position = np.unique(splits.ratio, return_inverse=True)
    names = [
        "twelve months that span a split" if ratio == 1 else f"{ratio:g} shares today for one then"
        for ratio in unique
    ]
    return np.array(names, dtype=object)[position]
