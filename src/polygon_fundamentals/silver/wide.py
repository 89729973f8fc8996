"""From the records of both generations over time to the rows of the history table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.datasets.schemas import MOMENT
from polygon_fundamentals.field_map import v2_fields
from polygon_fundamentals.reference.edgar_cache import EdgarCache
from polygon_fundamentals.reference.original_dates import EXACT
from polygon_fundamentals.silver import accessions
from polygon_fundamentals.silver.combine import FirstFilings
from polygon_fundamentals.silver.names import Names
from polygon_fundamentals.silver.ratios import RATIOS, EarlierPeriods, Rows
from polygon_fundamentals.silver.schema import PREFIXES, history_schema
from polygon_fundamentals.silver.statement_rows import (
    ANNUAL,
    QUARTERLY,
    TTM,
    Flags,
    Floats,
    Side,
)
from polygon_fundamentals.silver.timeline import (
    END_OFFSET,
    FOREVER,
    PERIOD,
    TIMEFRAMES,
    Ints,
    first_at,
    pack,
    pairs,
    spans_between,
    split,
)
from polygon_fundamentals.statements import Generation, Statement

# What a row's labels are taken from, first of all: the statement that moves least between dates.
_LABELS = (Statement.INCOME_STATEMENTS, Statement.CASH_FLOW, Statement.BALANCE_SHEETS)
BOTH = "v2+v1"
KNOWLEDGE = ("filed", "observed", "derived")
DERIVED, SEC = KNOWLEDGE[2], "sec"
_TICKER_END = ("ticker", "company", "end")


def assemble(
    sides: Sequence[Side],
    primary: Generation,
    first: FirstFilings,
    names: Names,
    cache: EdgarCache,
) -> pa.Table:
    """Return the history in `history_schema`, sorted by ticker, period end, timeframe, CIK, time.

    A twelve-month row has the balance sheet of its last day, which is that of the quarterly (or
    annual) record of the same end, or of the nearest within ten days: v2 has none of its own, and a
    balance is a state. Its values are known from when those of the balance are.

    No ratio of a row that could be known uses another period whose values could not.
    """
    rows, places = _rows(sides, first)
    values = {s: np.full((len(rows), len(v2_fields(s))), np.nan) for s in Statement}
    debt = np.full(len(rows), np.nan)
    for side, place in zip(sides, places, strict=True):
        has = place >= 0
        values[side.statement][has] = side.values[place[has]]
        if side.statement is Statement.BALANCE_SHEETS:
            debt[has] = side.debt[place[has]]
    _label(rows, sides, places, primary)
    _lend_balances(rows, values[Statement.BALANCE_SHEETS], debt)
    rows["knowledge"] = np.array(KNOWLEDGE, dtype=object)[rows["rank"]]
    rows["first_filing_date"], rows["first_filing_source"] = first.of(rows)
    periods = EarlierPeriods.of(rows)
    source, since, until = split(
        rows["since"].to_numpy(), rows["until"].to_numpy(), *periods.changes(rows)
    )
    rows = rows.iloc[source].reset_index(drop=True).assign(since=since, until=until)
    columns = {
        PREFIXES[s] + name: values[s][source, i]
        for s in Statement
        for i, name in enumerate(v2_fields(s))
    }
    del values
    unknown = rows["values_known_from"].to_numpy() > since
    year, quarter = periods.positions(rows)
    for before in (year, quarter):
        before[unknown[before] & ~unknown] = -1
    quarterly = (rows["timeframe"] == QUARTERLY).to_numpy()
    income = rows["income"].to_numpy()
    operands = Rows(columns, debt[source], quarterly, year, quarter, income)
    with np.errstate(invalid="ignore", over="ignore"):
        columns |= {name: function(operands) for name, function in RATIOS.items()}
    rows.loc[unknown, "knowledge"] = DERIVED
    proven = (rows["knowledge"] == DERIVED) & (rows["first_filing_source"] == EXACT)
    rows.loc[proven, "knowledge"] = SEC
    begins, ends = _runs(rows, columns)
    rows = rows.iloc[begins].assign(until=until[ends])
    order = np.lexsort([rows[n] for n in ("since", "company", "timeframe", "end", "ticker")])
    rows, begins = rows.iloc[order].reset_index(drop=True), begins[order]
    accessions.add_listed(rows, names.companies, cache)
    schema = history_schema()
    arrays = [
        pa.array(columns[name][begins], from_pandas=True)
        if name in columns
        else _record_column(rows, name, schema.field(name).type, names)
        for name in schema.names
    ]
    return pa.table(arrays, schema=schema)


def _rows(sides: Sequence[Side], first: FirstFilings) -> tuple[pd.DataFrame, list[Ints]]:
    """Return one row per period and span in which its records stay, and each side's row of it.

    The rows have the numbers of `PERIOD`, `period` for all of them, since and until; -1 stands
    for a side that has no record then.
    """
    keys = pd.concat([side.keys[[*PERIOD, "since", "until"]] for side in sides], ignore_index=True)
    codes, sample, ids = np.unique(pack(keys, PERIOD), return_index=True, return_inverse=True)
    numbers, days = [ids, ids], [keys["since"].to_numpy(), keys["until"].to_numpy()]
    for side in sides:
        if side.statement is Statement.BALANCE_SHEETS:
            lent = pack(side.keys.assign(timeframe=TTM), PERIOD)
            lender, borrower = pairs(codes, lent, SAME_PERIOD_DAYS)
            numbers += [borrower] * 2
            days += [side.since[lender], side.until[lender]]
    periods = keys[list(PERIOD)].iloc[sample].reset_index(drop=True)
    period, changes = first.changes(periods)
    numbers.append(period)
    days.append(changes)
    number, start, end = spans_between(np.concatenate(numbers), np.concatenate(days))
    places = []
    for side in sides:
        mine = np.searchsorted(codes, pack(side.keys, PERIOD))
        places.append(first_at(mine, side.since, side.until, number, start))
    there = np.logical_or.reduce([place >= 0 for place in places])
    rows = periods.iloc[number[there]].reset_index(drop=True)
    rows = rows.assign(period=number[there], since=start[there], until=end[there])
    return rows, [place[there] for place in places]


def _label(
    rows: pd.DataFrame, sides: Sequence[Side], places: Sequence[Ints], primary: Generation
) -> None:
    """Add labels, dates and origin to `rows`, from the sides that make up each.

    `rank` is the position of their knowledge in `KNOWLEDGE`: of the values known last, and of those
    the least certain. For the balance alone there are `balance_known`, `balance_loaded` and
    `balance_rank`; `income` is the number of the income statement's generation, -1 without one.
    """
    for name in ("fiscal_year", "fiscal_quarter", "filing_date"):
        rows[name] = np.nan
    for name in ("values_known_from", "balance_known"):
        rows[name] = np.iinfo(np.int32).min
    for name in ("loaded_at", "balance_loaded"):
        rows[name] = np.iinfo(np.int64).min
    rows["income"], rows["accession"] = -1, 0
    rows["rank"], rows["balance_rank"] = 0, 0
    labelled = np.zeros(len(rows), dtype=bool)
    covered = {generation: np.zeros(len(rows), dtype=bool) for generation in Generation}
    by_rank = sorted(
        zip(sides, places, strict=True),
        key=lambda item: (item[0].generation is not primary, _LABELS.index(item[0].statement)),
    )
    for side, place in by_rank:
        to = np.flatnonzero(place >= 0)
        keys = side.keys.iloc[place[to]].reset_index(drop=True)
        fresh = ~labelled[to]
        for name in ("fiscal_year", "fiscal_quarter"):
            rows.loc[to[fresh], name] = keys[name].to_numpy()[fresh]
        labelled[to] = True
        covered[side.generation][to] = True
        known, filed = keys["known_from"].to_numpy(), keys["filing_date"].to_numpy()
        # v2's without a filing date were seen on that day, v1's come from another record's filing.
        undated = 1 if side.generation is Generation.V2 else 2
        rank = np.select([filed == known, np.isnan(filed)], [0, undated], 1)
        _know(rows, to, known, rank)
        dated, number = rows["filing_date"].to_numpy()[to], rows["accession"].to_numpy()[to]
        later = (filed > dated) | np.isnan(dated) | ((filed == dated) & (number == 0))
        rows.loc[to, "accession"] = np.where(later, keys["accession"], number)
        rows.loc[to, "filing_date"] = np.fmax(dated, filed)
        loaded = keys["loaded_at"].to_numpy()
        rows.loc[to, "loaded_at"] = np.maximum(rows["loaded_at"].to_numpy()[to], loaded)
        if side.statement is Statement.BALANCE_SHEETS:
            rows.loc[to, ["balance_known", "balance_loaded", "balance_rank"]] = np.column_stack(
                [known, loaded, rank]
            )
        if side.statement is Statement.INCOME_STATEMENTS:
            rows.loc[to, "income"] = list(Generation).index(side.generation)
    both = covered[Generation.V1] & covered[Generation.V2]
    rows["generation"] = np.where(
        both, BOTH, np.where(covered[Generation.V1], Generation.V1.value, Generation.V2.value)
    ).astype(object)


def _lend_balances(rows: pd.DataFrame, balances: Floats, debt: Floats) -> None:
    """Give twelve-month rows the balance sheet of their last day, its debt and its dates.

    Where that day differs by days from the end of the other records, the nearest balance sheet.
    """
    timeframe = rows["timeframe"].to_numpy()
    has = ~np.isnan(balances).all(axis=1)
    # Of a quarterly and an annual one of the same day the quarterly comes first.
    places = np.concatenate([np.flatnonzero((timeframe == t) & has) for t in (QUARTERLY, ANNUAL)])
    year, some = np.flatnonzero(timeframe == TTM), rows.iloc[places]
    met = first_at(
        pack(some, _TICKER_END),
        some["since"].to_numpy(),
        some["until"].to_numpy(),
        pack(rows.iloc[year], _TICKER_END),
        rows["since"].to_numpy()[year],
        SAME_PERIOD_DAYS,
    )
    to, source = year[met >= 0], places[met[met >= 0]]
    balances[to], debt[to] = balances[source], debt[source]
    known, rank, loaded = (
        rows["balance_" + name].to_numpy()[source] for name in ("known", "rank", "loaded")
    )
    _know(rows, to, known, rank)
    rows.loc[to, "loaded_at"] = np.maximum(rows["loaded_at"].to_numpy()[to], loaded)


def _know(rows: pd.DataFrame, to: Ints, known: Ints, rank: Ints) -> None:
    """Add to `values_known_from` and `rank` of some rows that values of them were known so."""
    day, before = (rows[name].to_numpy()[to] for name in ("values_known_from", "rank"))
    worse = np.where(known == day, np.maximum(rank, before), before)
    rows.loc[to, "rank"] = np.where(known > day, rank, worse)
    rows.loc[to, "values_known_from"] = np.maximum(day, known)


def _runs(rows: pd.DataFrame, columns: Mapping[str, Floats]) -> tuple[Ints, Ints]:
    """Return first and last position of the runs of rows that say the same, one after another."""
    same = rows["period"].to_numpy()[1:] == rows["period"].to_numpy()[:-1]
    same &= rows["since"].to_numpy()[1:] == rows["until"].to_numpy()[:-1]
    for name in ("fiscal_year", "fiscal_quarter", "filing_date", "first_filing_date"):
        same &= _unchanged(rows[name].to_numpy())
    for name in ("first_filing_source", "values_known_from", "generation", "loaded_at"):
        same &= rows[name].to_numpy()[1:] == rows[name].to_numpy()[:-1]
    for column in columns.values():
        same &= _unchanged(column)
    fresh = np.append(True, ~same)
    return np.flatnonzero(fresh), np.flatnonzero(np.roll(fresh, -1))


def _unchanged(column: Floats) -> Flags:
    after, before = column[1:], column[:-1]
    return (after == before) | (np.isnan(after) & np.isnan(before))


def _record_column(rows: pd.DataFrame, name: str, kind: pa.DataType, names: Names) -> pa.Array:
    if name == "ticker":
        return pa.array(names.tickers.take(rows["ticker"].to_numpy()), kind)
    if name == "cik":
        companies = names.companies.take(rows["company"].to_numpy())
        return pa.array(companies.where(~companies.str.startswith("ticker:"), None), kind)
    if name == "timeframe":
        return pa.array(np.array(TIMEFRAMES, dtype=object)[rows["timeframe"]], kind)
    if name == "fiscal_period":
        number = rows["fiscal_quarter"]
        quarter = "Q" + number.fillna(0).astype(int).astype(str)
        quarter = quarter.astype(object).where(number.notna(), None)
        quarter[rows["timeframe"] == ANNUAL] = "FY"
        quarter[rows["timeframe"] == TTM] = "TTM"
        return pa.array(quarter, kind, from_pandas=True)
    if name == "period_end":
        return (
            pa.array((rows["end"] - END_OFFSET).to_numpy(), pa.int64()).cast(pa.int32()).cast(kind)
        )
    if name in ("known_from", "known_to"):
        days = rows["since" if name == "known_from" else "until"].to_numpy()
        return pa.array(days, pa.int64(), mask=days == FOREVER).cast(pa.int32()).cast(kind)
    if name == "accession_number":
        return accessions.as_text(rows["accession"].to_numpy())
    if pa.types.is_string(kind):
        return pa.array(rows[name].to_numpy(dtype=object), kind, from_pandas=True)
    if kind == MOMENT:
        return pa.array(rows[name].to_numpy(dtype=np.int64)).cast(kind)
    numbers = pa.array(rows[name].to_numpy(dtype=np.float64), from_pandas=True)
    return pc.cast(numbers, pa.int32(), safe=False).cast(kind)
