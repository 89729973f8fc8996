"""The rules on compared values: each fits its finding, and each finding is within its budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from .base import JsonObject, ParityRule
from .rules import CASE, Flags

_VALUES = (
    "statement", *CASE, "v1_field", "v2_field", "v1_value", "v2_value", "difference", "finding",
    "detail", "v1_filing_date", "v2_filing_date",
)  # fmt: skip
EQUAL = "matched"
# The observed value of a rule that had nothing to judge begins with this.
NOTHING_COMPARED = "nothing to compare"
# Findings that say that there is nothing to compare, and whether v1 and v2 must have a value.
# `absent_zero` and `not_comparable` hold of several cases, `accepted` of all.
_SIDES: Mapping[str, tuple[bool, bool] | None] = {
    "lost_in_v2": (True, False),
    "null_in_v2": (True, False),
    "null_in_v1": (False, True),
    "absent_zero": None,
    "not_comparable": None,
    "accepted": None,
}
# The columns that identify an accepted difference.
ACCEPTED_KEY = (
    "statement", "cik", "timeframe", "period_end", "v2_field", "v1_value", "v2_value",
)  # fmt: skip
APART = ("lost_in_v2", "null_in_v2", "null_in_v1", "absent_zero", "not_comparable")
# Equal up to the last bits of a float64; the last digit of a tolerance in cents.
_SAME, _EDGE = 1e-9, 1e-9
# The columns that `row_hash` was made of when the values were compared.
HASHED = (
    "statement", "ticker", "timeframe", "v1_field", "v2_field", "v1_value", "v2_value", "finding"
)  # fmt: skip
# To what filers round, and by how many units a total of rounded lines may be off.
_UNITS, _UNITS_OFF = (1e3, 1e5, 1e6), 2


class _Values(ParityRule):
    """A rule on the frame of values: single rows of what is not equal, tallies of the rest."""

    shown: ClassVar[tuple[str, ...]] = _VALUES
    noun: ClassVar[str] = "values compared"

    def _of(self, rows: pd.DataFrame) -> int:
        return int(rows.loc[~rows["finding"].isin(APART), "count"].sum())

    @staticmethod
    def _single(rows: pd.DataFrame) -> Flags:
        return rows["ticker"].notna()


class ExpectV2ValueToEqualV1(_Values):
    """Each value of a field is equal in both generations, or differs as its finding says."""

    v2_field: str
    limit: float
    per_share: bool = False
    defined_otherwise: bool = False
    at_most: int | None = 0

    title: ClassVar[str] = "Values are equal, or a finding explains their difference"

    @property
    def heading(self) -> str:
        """The field first, since it alone tells one such rule from another."""
        return f"{self.v2_field} · {self.statement}: {self.title[0].lower()}{self.title[1:]}"

    success_keys: ClassVar[tuple[str, ...]] = (
        "statement", "v2_field", "limit", "per_share", "defined_otherwise", "at_most",
    )  # fmt: skip

    @classmethod
    def _detail(cls, kwargs: JsonObject) -> str:
        return str(kwargs["v2_field"])

    def _judged(self, rows: pd.DataFrame) -> pd.DataFrame:
        mine = (rows["statement"] == self.statement) & (rows["v2_field"] == self.v2_field)
        return rows[mine]

    def _broken(self, rows: pd.DataFrame) -> Flags:
        finding = rows["finding"].astype(str)
        v1, v2 = (rows[n].to_numpy(dtype=float, na_value=np.nan) for n in ("v1_value", "v2_value"))
        expected = np.where(rows["relation"] == "sign_flipped", -v1, v1)
        with np.errstate(invalid="ignore", over="ignore"):
            off = v2 - expected
            stated = rows["difference"].to_numpy(dtype=float, na_value=np.nan)
            close = np.abs(off - stated) <= _SAME * np.maximum(1.0, np.abs(off))
            size = np.abs(off)
            near = size <= self.limit + _EDGE if self.per_share else size < self.limit
        there = (~np.isnan(v1), ~np.isnan(v2))
        both = there[0] & there[1]
        finite = np.isfinite(v1) & np.isfinite(v2)
        wrong = both & finite & ~close
        wrong |= (finding == "rounding").to_numpy() & ~near
        for kind, sides in _SIDES.items():
            if sides is not None:
                fits = (there[0] == sides[0]) & (there[1] == sides[1])
                wrong |= (finding == kind).to_numpy() & ~fits
        wrong |= ~finding.isin(list(_SIDES)).to_numpy() & ~both
        zero = np.where(np.isnan(v1), v2, v1) == 0
        wrong |= (finding == "absent_zero").to_numpy() & ~(zero & ~both)
        # What is listed as a difference must be one.
        wrong |= ~finding.isin([*_SIDES, "rounding"]).to_numpy() & finite & (off == 0)
        for kind, possible in self._possible(rows, expected, v2).items():
            wrong |= (finding == kind).to_numpy() & ~possible
        # How the records prove a finding is not in the frame, so a row must be as it was compared.
        hashes = pd.util.hash_pandas_object(rows[list(HASHED)], index=False)
        wrong |= hashes.to_numpy() != rows["row_hash"].to_numpy()
        return pd.Series(wrong & self._single(rows).to_numpy(), index=rows.index)

    def _possible(
        self, rows: pd.DataFrame, expected: np.ndarray[Any, Any], v2: np.ndarray[Any, Any]
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Where each finding is possible at all; `expected` is v1's value in v2's sign."""
        with np.errstate(invalid="ignore", over="ignore"):
            off, size = np.abs(v2 - expected), np.abs(expected)
            # A profit of more than half a unit does not round to a loss, nor a whole unit to zero.
            rounded = [
                (v2 % unit == 0)
                & (off <= _UNITS_OFF * unit)
                & ((np.sign(v2) == np.sign(expected)) | (size <= np.where(v2 == 0, unit, unit / 2)))
                for unit in _UNITS
            ]
        unfiled = rows["v1_filing_date"].isna() & (rows["timeframe"] == "quarterly")
        later = rows["v2_filing_date"] > rows["v1_filing_date"]
        return {
            "rounded_by_filer": np.logical_or.reduce(rounded),
            "line_definition": np.full(len(rows), self.defined_otherwise),
            "bank_net_of_interest": np.full(len(rows), self.v2_field == "revenue"),
            "derived_quarter": unfiled.to_numpy(dtype=bool),
            "restated": later.to_numpy(dtype=bool),
        }

    def _observed(self, rows: pd.DataFrame, broken: int, of: int) -> str:
        counts = rows.groupby("finding", observed=True)["count"].sum()
        equal = int(counts.get(EQUAL, 0))
        others = ", ".join(f"{n:,} {k}" for k, n in counts.items() if k != EQUAL and n)
        text = f"{of:,} compared, {equal:,} equal" if of else NOTHING_COMPARED
        text += f"; {others}" if others else ""
        return f"{text}; {broken:,} do not fit their finding" if broken else text


class ExpectFindingToStayWithinItsBudget(_Values):
    """No more findings of one kind than its budget allows."""

    finding: str
    v2_field: str | None = None
    except_for: list[Any] = []  # noqa: RUF012 - a pydantic field

    title: ClassVar[str] = "A finding stays within its budget"
    success_keys: ClassVar[tuple[str, ...]] = (
        "statement", "finding", "v2_field", "at_most", "except_for",
    )  # fmt: skip

    @classmethod
    def _detail(cls, kwargs: JsonObject) -> str:
        return " · ".join(filter(None, (kwargs["finding"], kwargs.get("v2_field"))))

    def _judged(self, rows: pd.DataFrame) -> pd.DataFrame:
        mine = super()._judged(rows)
        if self.v2_field is not None:
            mine = mine[mine["v2_field"] == self.v2_field]
        for statement, field in self.except_for:
            other = (mine["statement"] == statement) & (mine["finding"] == self.finding)
            mine = mine[~(other if field is None else other & (mine["v2_field"] == field))]
        return mine

    def _broken(self, rows: pd.DataFrame) -> Flags:
        return (rows["finding"] == self.finding) & self._single(rows)

    def _validate(self, metrics: Any, *rest: Any, **options: Any) -> JsonObject:
        """As for all rules, but count tallies too: findings counted apart may have no rows."""
        validation = super()._validate(metrics, *rest, **options)
        rows = self._judged(metrics["parity.rows"])
        count = int(rows.loc[rows["finding"] == self.finding, "count"].sum())
        result, of = validation["result"], validation["result"]["element_count"]
        result["unexpected_count"] = count
        result["unexpected_percent"] = 100 * count / of if of else 0.0
        result["observed_value"] = self._observed(rows, count, of)
        validation["success"] = self.at_most is None or count <= self.at_most
        return validation


class ExpectAcceptedDifferenceToBeListed(_Values):
    """A difference counts as accepted only if accepted.yaml lists it, with both values."""

    accepted: list[Any]
    at_most: int | None = 0

    title: ClassVar[str] = "Accepted differences are those of accepted.yaml"
    success_keys: ClassVar[tuple[str, ...]] = ("accepted", "at_most")

    def _broken(self, rows: pd.DataFrame) -> Flags:
        mine = (rows["finding"] == "accepted") & self._single(rows)
        if not mine.any():
            return mine
        known = {tuple(one[name] for name in ACCEPTED_KEY) for one in self.accepted}
        listed = rows.loc[mine, list(ACCEPTED_KEY)].copy()
        listed["period_end"] = listed["period_end"].dt.strftime("%Y-%m-%d")
        keys = [
            tuple(None if pd.isna(value) else value for value in row)
            for row in listed.itertuples(index=False)
        ]
        mine.loc[mine] = [key not in known for key in keys]
        return mine
