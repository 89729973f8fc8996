"""The suites: which rules each frame of a statement must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pandas as pd
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from expectations import rules
from polygon_fundamentals.field_map import Relation, Unit, primary_pairs
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.records import AS_DOCUMENTED, v2_identities
from polygon_fundamentals.parity.tolerances import Tolerances
from polygon_fundamentals.parity.totals import PRESENT, Verdict
from polygon_fundamentals.statements import Statement

_RELATIONS = {
    Relation.EXACT: "the two are the same figure",
    Relation.SIGN_FLIPPED: "the two have opposite signs, so v1's is turned before comparing",
    Relation.DEFINITION_DIFFERS: "the two are defined differently, and only what the definition "
    "explains may differ",
}
_UNITS = {Unit.USD: "dollars", Unit.USD_PER_SHARE: "dollars a share", Unit.SHARES: "shares"}


@dataclass(frozen=True)
class Case:
    """What the suites of one statement are made for.

    `v1_last_filing` is the newest among the tickers that v2 has too; `compared` the number of
    values compared by v2 field.
    """

    statement: Statement
    tolerances: Tolerances
    verdict: Verdict
    today: date
    v1_last_filing: date | None
    compared: Mapping[str, int]

    def standing(self, kinds: tuple[Kind, ...]) -> list[str]:
        """Which of the kinds are within their budgets, over all statements."""
        return [b.kind.value for b in self.verdict.budgets if b.is_kept and b.kind in kinds]


def suites_of(case: Case) -> Mapping[str, list[Expectation]]:
    """The expectations by frame."""
    makers: dict[str, Callable[[Case], list[Expectation]]] = {
        "tickers": _tickers,
        "periods": _periods,
        "values": _values,
        "fields": _fields,
        "v1_records": _v1_records,
        "v2_records": _v2_records,
        "v2_files": _v2_files,
        "counts": _counts,
    }
    return {name: make(case) for name, make in makers.items()}


def _tickers(case: Case) -> list[Expectation]:
    kinds = (Kind.DELISTED, Kind.RENAMED, Kind.MISSING)
    return [rules.ExpectEveryV1TickerToBeInV2(value_set=[PRESENT, *case.standing(kinds)])]


def _periods(case: Case) -> list[Expectation]:
    kinds = (Kind.MISSING, Kind.EXTRA)
    return [rules.ExpectEveryV1PeriodToBeInV2(value_set=[PRESENT, *case.standing(kinds)])]


def _values(case: Case) -> list[Expectation]:
    standing = case.standing((*DIFFERENCE_KINDS, *APART_KINDS))
    made: list[Expectation] = []
    for entry in primary_pairs(case.statement):
        limit = case.tolerances.limit(case.statement, entry.v2 or "", entry.unit)
        made.append(
            rules.ExpectV2ValueToEqualV1(
                value_set=standing,
                row_condition=Column("v2_field") == entry.v2,
                meta={"field": entry.v2, "compared": case.compared.get(entry.v2 or "", 0)},
                description=f"v2 {entry.v2} must equal v1 {entry.v1} ({entry.label}), period by "
                f"period: {_RELATIONS[entry.relation]}. Less than {limit:g} {_UNITS[entry.unit]} "
                "apart counts as equal. A difference stands if the data proves it harmless, or "
                "a reviewer accepted it.",
            )
        )
    return made


def _fields(case: Case) -> list[Expectation]:
    rule = case.tolerances.rules.lost_fields
    return [rules.ExpectFieldNotToBeLost(max_value=rule.limit, at_most=rule.at_most)]


def _v1_records(case: Case) -> list[Expectation]:
    return [rules.ExpectRecordKeyToBeUnique(at_most=case.tolerances.rules.unique_keys.at_most)]


def _v2_records(case: Case) -> list[Expectation]:
    limits = case.tolerances.rules
    identities: list[Expectation] = [
        rules.ExpectV2IdentityToHold(
            column=name,
            at_most=limits.identities.at_most,
            meta={"identity": name},
            description=f"In each record of v2 that has the lines: {name}. What is left over may "
            "be no more than rounding the lines explains.",
        )
        for name in v2_identities(case.statement)
    ]
    dates: list[Expectation] = [
        rules.ExpectNoFilingDateInTheFuture(
            max_value=_midnight(case.today), at_most=limits.future_filings.at_most
        ),
        rules.ExpectV2ToBeFresh(
            min_value=_midnight(case.today - timedelta(days=limits.freshness.limit)),
            description=f"The newest record of v2 was seen at most {limits.freshness.limit:g} days "
            "before this run: every company files once a quarter, so a lake without anything new "
            "for longer is not being updated.",
        ),
    ]
    if case.v1_last_filing is not None:
        days = case.v1_last_filing.toordinal() - int(limits.behind_v1.limit)
        least = date.fromordinal(max(days, date.min.toordinal()))
        dates.append(
            rules.ExpectV2NotToLagBehindV1(
                min_value=_midnight(least),
                description=f"v1's newest filing is of {case.v1_last_filing}; v2's newest may be "
                f"at most {limits.behind_v1.limit:g} days older.",
            )
        )
    unique = rules.ExpectRecordKeyToBeUnique(at_most=limits.unique_keys.at_most)
    return [unique, *identities, *dates]


def _v2_files(case: Case) -> list[Expectation]:
    at_most = case.tolerances.rules.flat_files.at_most
    return [rules.ExpectV2FileToBeFlat(value_set=[AS_DOCUMENTED], at_most=at_most)]


def _counts(case: Case) -> list[Expectation]:
    at_most = case.tolerances.rules.plausible_counts.at_most
    return [rules.ExpectCountPerTickerToBePlausible(at_most=at_most)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def titles(frame: pd.DataFrame) -> list[str]:
    """What each row is about, in one text: ticker, timeframe and period end."""
    parts = [frame["ticker"].astype(str)] if "ticker" in frame else [frame["v2_field"].astype(str)]
    if "timeframe" in frame:
        parts.append(frame["timeframe"].astype(str))
    if "period_end" in frame:
        parts.append(frame["period_end"].dt.strftime("%Y-%m-%d").fillna("no period end"))
    if "file" in frame:
        parts.append(frame["file"].astype(str))
    if "v2_field" in frame and "ticker" in frame:
        parts.append(frame["v2_field"].astype(str))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + " · " + part
    return [str(text) for text in joined.tolist()]
