"""Accounting identities that tell which generation contradicts itself."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polygon_fundamentals.parity.paired import Flags, Floats, Pair, Paired, or_zero
from polygon_fundamentals.periods.standing import column_of
from polygon_fundamentals.statements import Statement

# Each side of an identity is a sum of at most seven lines, rounded to the dollar at most.
_HOLDS = 2.0
# Filers round lines and totals apart; a hundredth of the difference in question is not it.
_SLACK = 0.01


@dataclass(frozen=True)
class Sum:
    """Lines with their signs that add up to zero; a line in `optional` may be absent."""

    terms: tuple[tuple[float, str], ...]
    optional: tuple[tuple[float, str], ...] = ()

    def residual(self, values: dict[str, Floats]) -> Floats:
        """Return what is left over in each period, NaN where a line that must be there is not."""
        total = sum(sign * values[name] for sign, name in self.terms)
        return np.asarray(total + sum(sign * or_zero(values[name]) for sign, name in self.optional))

    def sign_of(self, name: str) -> float:
        """Return the sign with which a line enters, 0 if it does not."""
        return next((s for s, n in (*self.terms, *self.optional) if n == name), 0.0)


@dataclass(frozen=True)
class Identity:
    """A rule that both generations should keep: any of `v1` will do, and `v2`."""

    name: str
    v1: tuple[Sum, ...]
    v2: Sum


def _terms(text: str, section: str) -> tuple[tuple[float, str], ...]:
    """The lines of `a - b + c` with their signs, each named with its section of v1."""
    return tuple(
        (-1.0 if sign == "-" else 1.0, f"{section}{name}") for sign, name in _TERM.findall(text)
    )


def _read_identities() -> dict[Statement, tuple[Identity, ...]]:
    """The identities of each statement, from the table beside this module.

    v1 keeps some lines, such as mezzanine equity, in one of several places or leaves them out, so
    an identity may have several rows for v1, of which any will do.
    """
    sums: dict[Statement, dict[str, dict[str, list[Sum]]]] = {s: {} for s in Statement}
    with Path(__file__).with_name("identities.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            statement = Statement(row["statement"])
            section = f"{statement.v1_sections[0]}." if row["generation"] == "v1" else ""
            of_identity = sums[statement].setdefault(row["identity"], {"v1": [], "v2": []})
            of_identity[row["generation"]].append(
                Sum(_terms(row["lines"], section), _terms(row["optional"], section))
            )
    return {
        statement: tuple(Identity(name, tuple(of["v1"]), *of["v2"]) for name, of in named.items())
        for statement, named in sums.items()
    }


_TERM = re.compile(r"(-|\+|^)\s*(\w+)")
IDENTITIES = _read_identities()


def broken_identity(paired: Paired, pair: Pair) -> tuple[Flags, list[str]]:
    """Return which values v1 itself contradicts, and the names of the identities that say so.

    v1's identity fails as it stands, holds with v2's value in place of v1's, and v2's own holds.
    """
    result = np.zeros(len(paired), dtype=bool)
    names = []
    v1, v2 = dict(paired.v1), dict(paired.v2)
    slack = np.maximum(_HOLDS, _SLACK * np.abs(pair.difference))
    for identity in IDENTITIES[paired.statement]:
        fails = np.ones(len(paired), dtype=bool)
        mended = np.zeros(len(paired), dtype=bool)
        for line in identity.v1:
            residual = line.residual(v1)
            fails &= ~(np.abs(residual) <= slack)
            for position, entry in enumerate(pair.entries):
                change = line.sign_of(column_of(entry)) * pair.sign * pair.difference
                came_from = pair.source == position
                mended |= came_from & (change != 0) & (np.abs(residual + change) <= slack)
        holds = np.abs(identity.v2.residual(v2)) <= slack
        broken = fails & mended & holds
        if broken.any():
            names.append(identity.name)
            result |= broken
    return result, names
