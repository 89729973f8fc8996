"""The comparison of both generations: one statement at a time, on tables as the lake delivers them.

Each company is compared once, each period by its current record. All evidence is within a company,
so a large lake may be compared in batches of whole companies and merged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.parity.coverage import missing_from_v2
from polygon_fundamentals.parity.explain import Findings, explain, gather, matched_values
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.meeting import TickersOf, days_of, meet, without_empty_records
from polygon_fundamentals.parity.paired import Paired, pairs_of
from polygon_fundamentals.parity.seen import cik_of, periods_seen
from polygon_fundamentals.parity.tally import tally
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.parity.totals import PRESENT
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement

_KINDS = np.array([kind.value for kind in Kind], dtype=object)


@dataclass(frozen=True)
class StatementParity:
    """What the comparison of one statement found, row by row; `findings.totals` counts it.

    `values` lists each value that is not matched: statement, ticker, tickers, cik, timeframe,
    period_end, v1_field, v2_field, relation, v1_value, v2_value, difference (v2 less v1 in v2's
    sign), kind, detail, v1_filing_date, v2_filing_date; not those of lines that only one
    generation knows. `tallies` has the numbers by company: ticker, line (the position in the
    field map's `entries`), kind, count, matched values too. `seen` is every period of either
    generation: see `periods_seen`.

    `tickers` are v1's: ticker, cik, kind (present, delisted, renamed, missing), detail, periods.
    `missing_periods` and `extra_periods`: statement, ticker, tickers, cik, timeframe, period_end,
    filing_date; the periods of companies that v2 lacks altogether are not among them.
    """

    values: pd.DataFrame
    tallies: pd.DataFrame
    tickers: pd.DataFrame
    seen: pd.DataFrame
    missing_periods: pd.DataFrame
    extra_periods: pd.DataFrame


def compare_statement(
    v1: pa.Table,
    v2: pa.Table,
    statement: Statement,
    tolerances: Tolerances,
    reference: Mapping[str, ReferenceTicker],
    accepted: Sequence[Accepted] = (),
    today: date | None = None,
) -> StatementParity:
    """Return the comparison of one statement; nothing is written.

    `v1` and `v2` are the lake's records with one row per followed ticker and record key: the
    columns `ticker`, `cik`, `tickers`, the labels, dates and `observed_at`, and one float64 column
    for each field of the map (`section.name` in v1). `reference` says whether a ticker is active
    and which company has it. Accepted differences count until their last day; `today` is the day
    in New York unless given.
    """
    day = today_in_new_york() if today is None else today
    v2 = without_empty_records(v1, v2, statement, reference)
    meeting = meet(v1, v2, statement, reference)
    v1_keys, v2_keys, company_tickers = meeting.v1_keys, meeting.v2_keys, meeting.company_tickers
    paired = meeting.paired
    findings = _findings(paired, tolerances)
    values = _values(paired, findings)
    _accept(values, [a for a in accepted if a.statement is statement], day)
    in_v2 = v1_keys["company"].isin(v2_keys["company"]).to_numpy()[meeting.v1_alone]
    missing, absent = meeting.v1_alone[in_v2], meeting.v1_alone[~in_v2]
    return StatementParity(
        values=values,
        tallies=tally(paired, findings, values),
        tickers=_tickers(v1_keys.iloc[meeting.v1_current], v1, v1_keys, v2, v2_keys, reference),
        seen=periods_seen(meeting, v1, v2, missing, absent),
        missing_periods=_periods(v1, v1_keys, missing, statement, company_tickers),
        extra_periods=_periods(v2, v2_keys, meeting.v2_alone, statement, company_tickers),
    )


def equal_values(
    v1: pa.Table, v2: pa.Table, statement: Statement, reference: Mapping[str, ReferenceTicker]
) -> pd.DataFrame:
    """Return the values that are the same in both records of a period.

    Columns as of `StatementParity.values`; the arguments are those of `compare_statement`.
    """
    v2 = without_empty_records(v1, v2, statement, reference)
    paired = meet(v1, v2, statement, reference).paired
    return _values(paired, [matched_values(pair) for pair in pairs_of(paired)], matched=True)


def _findings(paired: Paired, tolerances: Tolerances) -> list[Findings]:
    statement, pairs = paired.statement, pairs_of(paired)
    limits = [tolerances.tolerance(statement, p.v2_field, p.entry.unit).limit for p in pairs]
    # Infinities are findings of their own; the arithmetic around them need not warn.
    with np.errstate(invalid="ignore", over="ignore"):
        evidence = gather(paired, pairs)
        return [
            explain(paired, pair, evidence, limit)
            for pair, limit in zip(pairs, limits, strict=True)
        ]


def _values(paired: Paired, findings: list[Findings], *, matched: bool = False) -> pd.DataFrame:
    """One row per value that is not matched; with `matched` one per value that is."""
    parts: list[dict[str, npt.NDArray[Any]]] = []
    for of_pair in findings:
        listed = (of_pair.kind >= 0) & (of_pair.is_kind(Kind.MATCHED) == matched)
        rows = np.flatnonzero(listed)
        pair = of_pair.pair
        names = np.array([e.v1 for e in pair.entries], dtype=object)
        with np.errstate(invalid="ignore"):
            difference = pair.difference[rows]
        parts.append(
            {
                "row": rows,
                "v1_field": names[pair.source[rows]],
                "v2_field": np.full(len(rows), pair.v2_field, dtype=object),
                "relation": np.full(len(rows), pair.entry.relation.value, dtype=object),
                "v1_value": pair.sign * pair.expected[rows] + 0.0,
                "v2_value": pair.actual[rows],
                "difference": difference,
                "kind": _KINDS[of_pair.kind[rows]],
                "detail": of_pair.detail[rows],
            }
        )
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    periods = paired.periods.iloc[joined.pop("row")]
    values = pd.DataFrame(
        {
            "statement": paired.statement.value,
            "ticker": periods["ticker"].to_numpy(),
            "tickers": periods["tickers"].to_numpy(),
            "cik": cik_of(periods["company"]),
            "timeframe": periods["timeframe"].to_numpy(),
            "period_end": periods["period_end"].to_numpy(),
            **joined,
            "v1_filing_date": periods["v1_filing_date"].to_numpy(),
            "v2_filing_date": periods["v2_filing_date"].to_numpy(),
        }
    )
    order = ["ticker", "timeframe", "period_end", "v2_field"]
    return values.sort_values(order, ignore_index=True)


def _accept(values: pd.DataFrame, accepted: list[Accepted], day: date) -> None:
    """Mark in `values` the differences that are accepted until `day` or longer."""
    open_kinds = values["kind"].isin([k.value for k in (*DIFFERENCE_KINDS, *APART_KINDS)])
    for one in accepted:
        if one.until < day:
            continue
        same = (
            open_kinds
            & (values["cik"] == one.cik)
            & (values["timeframe"] == one.timeframe.value)
            & (values["period_end"] == pd.Timestamp(one.period_end))
            & (values["v2_field"] == one.v2_field)
            & _is_value(values["v1_value"], one.v1_value)
            & _is_value(values["v2_value"], one.v2_value)
        )
        was = values.loc[same, "kind"]
        values.loc[same, "detail"] = was + f": {one.reason} ({one.by}, until {one.until})"
        values.loc[same, "kind"] = Kind.ACCEPTED.value


def _is_value(column: pd.Series[float], value: float | None) -> pd.Series[bool]:
    return column.isna() if value is None else column == value


def _tickers(
    current: pd.DataFrame,
    v1: pa.Table,
    v1_keys: pd.DataFrame,
    v2: pa.Table,
    v2_keys: pd.DataFrame,
    reference: Mapping[str, ReferenceTicker],
) -> pd.DataFrame:
    periods = current.groupby("company").size()
    rows = pd.DataFrame(
        {"company": v1_keys["company"], "ticker": v1.column("ticker").to_pandas()}
    ).drop_duplicates()
    rows = rows[rows["company"].isin(periods.index)]
    rows["periods"] = rows["company"].map(periods)
    absent = missing_from_v2(rows, v2, v2_keys["company"].to_numpy(dtype=object), reference)
    there = rows.merge(absent[["company", "ticker"]], how="left", indicator="where")
    there = there[there["where"] == "left_only"].assign(kind=PRESENT, detail="")
    every = pd.concat([absent, there]).sort_values(["company", "ticker"], ignore_index=True)
    every["cik"] = cik_of(every["company"])
    return every[["ticker", "cik", "kind", "detail", "periods"]]


def _periods(
    table: pa.Table,
    keys: pd.DataFrame,
    rows: npt.NDArray[np.int64],
    statement: Statement,
    company_tickers: TickersOf,
) -> pd.DataFrame:
    periods = keys.iloc[rows]
    tickers = periods["company"].map(company_tickers).astype(object)
    frame = pd.DataFrame(
        {
            "statement": statement.value,
            "ticker": tickers.str[0].to_numpy(),
            "tickers": tickers.str.join(",").to_numpy(),
            "cik": cik_of(periods["company"]),
            "timeframe": periods["timeframe"].to_numpy(),
            "period_end": periods["period_end"].to_numpy(),
            "filing_date": days_of(table, "filing_date", pa.array(rows)),
        }
    )
    return frame.sort_values(["ticker", "timeframe", "period_end"], ignore_index=True)
