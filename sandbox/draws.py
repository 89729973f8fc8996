"""What a company reports, and the random numbers that its facts are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .companies import Profile

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_DRAWS = 160
# Says whether a company reports an optional line.
Has = Callable[[str], bool]


def optional_lines(profile: Profile, seed: int) -> Has:
    """Draw the optional lines of a company; the same seed gives the same ones."""
    rng = np.random.default_rng([seed, profile.index, 2])
    chances = {
        "inv": 0.75, "rd": 0.6, "sga": 0.7, "dda": 0.3, "oop": 0.5, "ie": 0.7, "ii": 0.6,
        "eq": 0.2, "disc": 0.15, "nci": 0.3, "pref": 0.12, "fx": 0.55, "sti": 0.45, "defrev": 0.5,
        "goodwill": 0.7, "intang": 0.7, "mezz": 0.1, "treasury": 0.5, "apic": 0.8, "aoci": 0.7,
        "sale_ppe": 0.35, "std_flow": 0.3, "div": 0.5, "nci_cash": 0.15, "wages": 0.7,
        "debt": 0.75, "dps": 0.3, "cost": 0.9, "v1_cash": 0.15, "v1_rec": 0.2, "v1_prepaid": 0.2,
        "v1_tot": 0.5, "v1_before_eq": 0.3, "v1_tax_def": 0.35, "v1_ie_annual": 0.2,
        "v1_ie_debt": 0.1, "v1_int_payable": 0.08, "v1_nc_prepaid": 0.08, "v1_tax_cur": 0.1,
        "v1_oci_parent": 0.6, "v1_oop": 0.8, "tax": 0.95,
    }  # fmt: skip
    draws = rng.random(len(chances))
    lines = {name for (name, chance), u in zip(chances.items(), draws, strict=True) if u < chance}
    if profile.template != "industrial":
        lines -= {"inv", "rd", "dda", "ie", "v1_ie_debt"}
        lines |= {"sga"}
    if profile.template == "insurer":
        lines -= {"cost"}
        lines |= {"oop"}
    if profile.template == "bank":
        lines |= {"cost"}
        lines -= {"ii", "eq", "v1_before_eq"}
    if profile.template == "shell":
        lines = {"mezz", "sga", "ii", "tax"}
    if not lines & {"debt"}:
        lines -= {"ie"}
    for role, change in _ROLE_LINES.items():
        if role in profile.roles:
            lines |= change
    return (frozenset(lines)).__contains__


_ROLE_LINES: dict[str, set[str]] = {
    "v1_expenses_include_cost": {"cost", "sga"},
    "securities_missing": {"sti"},
    "bank_other_income": {"oth"},
    "trillion": {"nci", "debt", "ie", "goodwill", "intang", "treasury", "div"},
    "share_classes": {"treasury"},
    "amended": {"cost"},
    "restated_to_come": {"cost"},
    "rounded": {"inv", "sga", "debt", "ie", "cost"},
}


class Draw:
    """Uniform draws by name, and rounding to the unit that the company reports in."""

    def __init__(self, profile: Profile, quarters: int, seed: int) -> None:
        self.u: Floats = np.random.default_rng([seed, profile.index, 3]).random((quarters, _DRAWS))
        self._column = 0
        self._unit = profile.unit
        self._rounded = "rounded" in profile.roles

    def next(self) -> Floats:
        """Return the next unused column of draws."""
        self._column += 1
        return self.u[:, self._column - 1]

    def leaf(self, amounts: npt.NDArray[np.floating[Any]]) -> Ints:
        """Round amounts to the reporting unit.

        A company whose comparatives get rounded to the million has leaves within 4,000 of
        one, so that rounding a total equals the total of the rounded.
        """
        if self._rounded:
            crumbs = np.rint((self.next() - 0.5) * 8).astype(np.int64) * 1000
            millions: Ints = np.rint(amounts / 1e6).astype(np.int64)
            return millions * 1_000_000 + crumbs
        units: Ints = np.rint(amounts / self._unit).astype(np.int64)
        return units * self._unit


class Leaf(Protocol):
    """Draw an amount as a share of revenue; zero where the company lacks the line."""

    def __call__(self, share: float, swing: float = 0.1, line: str | None = None) -> Ints: ...
