"""What one row of the field map is, and the checks that the map passes on import."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.statements import Statement


class FieldMapError(UsageError):
    """The field map contradicts itself, or was asked for a field that it does not hold."""


class Relation(StrEnum):
    """How a v1 line and a v2 field relate."""

    EXACT = "exact"
    SIGN_FLIPPED = "sign_flipped"
    DEFINITION_DIFFERS = "definition_differs"
    V1_ONLY = "v1_only"
    V2_ONLY = "v2_only"


class Direction(StrEnum):
    """What v2's amount is beside v1's, where their definitions differ and neither is negative."""

    LESS = "less"
    MORE = "more"
    EITHER = "either"


class Confidence(StrEnum):
    """How well the relation is evidenced by recorded answers."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Unit(StrEnum):
    """The unit in v1's spelling. v2 sends none."""

    USD = "USD"
    USD_PER_SHARE = "USD / shares"
    SHARES = "shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEntry:
    """One row of the map: a v1 line, a v2 field, or both.

    `order` is v1's, None for v2-only fields; `label` is v1's where v1 has the line, else a
    readable name of the v2 field. Where several v1 lines lead to one v2 field, `source_rank`
    says in which order they are tried (1 first): the first one present stands for all of them,
    so that a v2 value is compared once. `v2_is` says in which direction the definitions differ;
    None where that is not known, or where the line is a difference and may have any sign.
    """

    statement: Statement
    v1_section: str | None = None
    v1: str | None = None
    v2: str | None = None
    relation: Relation
    v2_is: Direction | None = None
    label: str
    order: int | None = None
    unit: Unit
    confidence: Confidence
    source_rank: int
    note: str = ""

    @property
    def v1_column(self) -> str | None:
        """The column of the v1 line in the lake: section and name joined by a dot."""
        return None if self.v1 is None else f"{self.v1_section}.{self.v1}"


@dataclass(frozen=True, slots=True)
class V1Field:
    """A v1 line as v1 itself sends it: section, name, label, order and unit."""

    section: str
    name: str
    label: str
    order: int
    unit: Unit

    @property
    def column(self) -> str:
        """The column of the line in the lake: section and name joined by a dot."""
        return f"{self.section}.{self.name}"


@dataclass(frozen=True)
class RatioField:
    """A number of a ratios snapshot: its name in the answer and the files, unit and definition."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """A field of the record itself, outside the statement's lines."""

    v1: str | None = None
    v2: str | None = None
    relation: Relation
    note: str = ""


# Names that older plans proposed and that neither the vendor's clients nor any recorded answer
# holds. An entry that uses one would compare nothing, silently.
REFUSED_V1_NAMES = frozenset(
    {
        "cash_and_cash_equivalents",
        "common_stock",
        "current_debt",
        "deferred_revenue",
        "goodwill",
        "net_income",
        "operating_income",
        "retained_earnings",
        "short_term_investments",
        "treasury_stock",
    }
)
REFUSED_V2_NAMES = frozenset(
    {
        "current_debt",
        "deferred_revenue",
        "net_cash_flow_from_financing_activities",
        "net_cash_flow_from_investing_activities",
        "net_cash_flow_from_operating_activities",
        "net_income_loss",
        "operating_expenses",
        "operating_income_loss",
        "other_current_liabilities",
        "retained_earnings",
        "revenues",
    }
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_entries(entries: Iterable[FieldEntry]) -> None:
    """Raise FieldMapError with every fault of the map at once, if there is any."""
    rows = tuple(entries)
    faults = [fault for entry in rows for fault in _faults_of(entry)]
    v1_names = Counter((e.v1_section, e.v1) for e in rows if e.v1 is not None)
    faults += [f"v1 {s}.{n} is listed {k} times" for (s, n), k in v1_names.items() if k > 1]
    ranks: dict[tuple[Statement, str], list[int]] = defaultdict(list)
    for e in rows:
        if e.v2 is not None:
            ranks[e.statement, e.v2].append(e.source_rank)
    faults += [
        f"v2 {s}.{n}: the ranks of its v1 sources are {sorted(source_ranks)}, not 1 and on"
        for (s, n), source_ranks in ranks.items()
        if sorted(source_ranks) != list(range(1, len(source_ranks) + 1))
    ]
    if faults:
        raise FieldMapError("field map: " + "; ".join(faults))


def _faults_of(entry: FieldEntry) -> list[str]:
    where = f"{entry.statement.value} {entry.v1 or '-'} / {entry.v2 or '-'}"
    faults = []
    sides = (entry.v1 is not None, entry.v2 is not None)
    wanted = {Relation.V1_ONLY: (True, False), Relation.V2_ONLY: (False, True)}
    if sides != wanted.get(entry.relation, (True, True)):
        faults.append(f"{where}: relation {entry.relation.value} does not fit the names given")
    if len({entry.v1 is None, entry.v1_section is None, entry.order is None}) > 1:
        faults.append(f"{where}: section and order belong to v1 lines, and to each of them")
    if entry.v1_section is not None and entry.v1_section not in entry.statement.v1_sections:
        faults.append(f"{where}: {entry.v1_section} is not a section of the statement")
    for name, refused in ((entry.v1, REFUSED_V1_NAMES), (entry.v2, REFUSED_V2_NAMES)):
        if name is not None and (name in refused or not _NAME.fullmatch(name)):
            faults.append(f"{where}: {name} is not a field of that API")
    if entry.v2_is is not None and entry.relation is not Relation.DEFINITION_DIFFERS:
        faults.append(f"{where}: v2_is belongs to lines whose definition differs")
    return faults
