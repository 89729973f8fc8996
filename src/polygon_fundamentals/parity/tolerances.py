"""What a reviewer decides: tolerances, budgets and accepted differences, each with its reason.

`expectations/tolerances.yaml` says how far two figures may be apart and still be the same, and how
many findings of each kind are allowed before the answer is no. `expectations/accepted.yaml` lists
single differences that someone has looked at and found to be fine, until a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from polygon_fundamentals.business_days import STALE_DAYS
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.field_map import Unit, primary_pairs
from polygon_fundamentals.parity.kinds import APART_KINDS, BUDGETED_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.settings_file import read_yaml
from polygon_fundamentals.statements import Statement, Timeframe

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _cik(value: object) -> object:
    if isinstance(value, int):
        # Unquoted, YAML reads 0000320177 as an octal number: another company's CIK.
        raise ValueError("write the CIK in quotes")
    return value.zfill(10) if isinstance(value, str) else value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tolerance(_Frozen):
    """How far apart two figures of a unit, or of one field, may be."""

    limit: Positive
    reason: Reason


class FieldTolerance(Tolerance):
    """A tolerance for one v2 field, in place of its unit's."""

    statement: Statement
    v2_field: str

    @model_validator(mode="after")
    def _is_compared(self) -> Self:
        if self.v2_field not in {e.v2 for e in primary_pairs(self.statement)}:
            raise ValueError(f"{self.v2_field} is not compared in {self.statement.value}")
        return self


class Budget(_Frozen):
    """How many findings of a kind are allowed."""

    at_most: int | Literal["unlimited"]
    reason: Reason

    @model_validator(mode="after")
    def _is_a_count(self) -> Self:
        if self.at_most != "unlimited" and self.at_most < 0:
            raise ValueError("at_most is a count or unlimited")
        return self


class ScopedBudget(Budget):
    """A budget for one kind of finding in one statement, or in one v2 field of it."""

    finding: Kind
    statement: Statement
    v2_field: str | None = None

    @model_validator(mode="after")
    def _is_of_values(self) -> Self:
        if self.finding not in (*DIFFERENCE_KINDS, *APART_KINDS):
            raise ValueError(f"{self.finding.value} is not a finding on a value")
        fields = {e.v2 for e in primary_pairs(self.statement)}
        if self.v2_field is not None and self.v2_field not in fields:
            raise ValueError(f"{self.v2_field} is not compared in {self.statement.value}")
        return self


class Units(_Frozen):
    """Tolerances by unit: money and shares below their limit, per-share figures within it."""

    money: Tolerance
    per_share: Tolerance
    shares: Tolerance


class Rule(_Frozen):
    """How many cases may break a rule of the checkpoint that compares nothing."""

    at_most: Annotated[int, Field(ge=0)] = 0
    reason: Reason


class Limited(Rule):
    """A rule with a limit of its own."""

    limit: Positive


class Freshness(Rule):
    """The rule on new filings, whose limit `status` has as well; the file need not give one."""

    limit: Positive = STALE_DAYS


class Rules(_Frozen):
    """The rules of the checkpoint on each generation by itself, and on fields lost whole."""

    unique_keys: Rule
    flat_files: Rule
    identities: Rule
    undated_filings: Rule
    future_filings: Rule
    filings_before_end: Rule
    filings_before_v1: Rule
    freshness: Freshness
    behind_v1: Limited
    plausible_counts: Limited
    fiscal_labels: Limited
    doubled_periods: Limited
    lost_fields: Limited


class Tolerances(_Frozen):
    """The content of `expectations/tolerances.yaml`."""

    tolerances: Units
    fields: tuple[FieldTolerance, ...] = ()
    budgets: Mapping[Kind, Budget]
    scoped_budgets: tuple[ScopedBudget, ...] = ()
    rules: Rules

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        faults = [f"no budget for {k.value}" for k in BUDGETED_KINDS if k not in self.budgets]
        faults += [f"{k.value} takes no budget" for k in self.budgets if k not in BUDGETED_KINDS]
        fields = Counter((f.statement.value, f.v2_field) for f in self.fields)
        faults += [f"{s} {name} is listed {n} times" for (s, name), n in fields.items() if n > 1]
        scopes = Counter(
            (b.finding.value, b.statement.value, b.v2_field) for b in self.scoped_budgets
        )
        faults += [
            f"the budget for {kind} in {statement} {field or ''} is listed {n} times"
            for (kind, statement, field), n in scopes.items()
            if n > 1
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def tolerance(self, statement: Statement, v2_field: str, unit: Unit) -> Tolerance:
        """Return the tolerance for a field: its own, else its unit's."""
        for field in self.fields:
            if (field.statement, field.v2_field) == (statement, v2_field):
                return field
        by_unit = {
            Unit.USD: self.tolerances.money,
            Unit.USD_PER_SHARE: self.tolerances.per_share,
            Unit.SHARES: self.tolerances.shares,
        }
        return by_unit[unit]


class Accepted(_Frozen):
    """One difference that a reviewer found to be fine, while both values stay what they are."""

    statement: Statement
    # For the reader alone: an entry holds for the company, under all of its tickers.
    ticker: str | None = None
    cik: Annotated[str, BeforeValidator(_cik)]
    timeframe: Timeframe
    period_end: date
    v2_field: str
    v1_value: float | None
    v2_value: float | None
    reason: Reason
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    until: date


class AcceptedFile(_Frozen):
    """The content of `expectations/accepted.yaml`."""

    accepted: tuple[Accepted, ...] = ()

    @field_validator("accepted", mode="before")
    @classmethod
    def _is_empty_without_entries(cls, value: object) -> object:
        """YAML reads the key alone, whose last entry was removed, as no value."""
        return () if value is None else value

    @model_validator(mode="after")
    def _are_known_and_single(self) -> Self:
        keys = Counter(
            (a.statement.value, a.cik, a.timeframe.value, a.period_end.isoformat(), a.v2_field)
            for a in self.accepted
        )
        faults = [f"{' '.join(key)} is listed {n} times" for key, n in keys.items() if n > 1]
        faults += [
            f"{a.v2_field} is not compared in {a.statement.value}"
            for a in self.accepted
            if a.v2_field not in {e.v2 for e in primary_pairs(a.statement)}
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self


def load_tolerances(path: Path) -> Tolerances:
    """Return the tolerances and budgets in the file. Raises UsageError with all its faults."""
    return read_yaml(path, Tolerances)


def load_accepted(path: Path, today: date | None = None) -> tuple[Accepted, ...]:
    """Return the accepted differences in the file. Raises UsageError with all its faults.

    With `today`, one whose last day has passed is a fault: somebody must look again.
    """
    accepted = read_yaml(path, AcceptedFile).accepted
    expired = [a for a in accepted if today is not None and a.until < today]
    if expired:
        listed = "; ".join(
            f"{a.statement.value} {a.cik} {a.timeframe.value} {a.period_end} {a.v2_field} "
            f"(until {a.until})"
            for a in expired[:5]
        )
        raise UsageError(
            f"{path}: no longer accepted: {listed}; look at the figures again, then set a later "
            "`until` or remove the entry"
        )
    return accepted
