"""When periods were first filed, from the vendor's index of filings.

v2's `filing_date` is the latest filing that repeated a period. The index
(`/stocks/filings/vX/index`) has every filing of a company with its form and day, but not the
period that it reports. So the periods of a company, by their ends, and its 10-Q and 10-K filings,
by their days, are laid side by side in order: a period takes a filing of its form after its end,
no two the same one, none out of turn. Of all such alignments the cheapest are kept, where it costs
something to file late, to file under the other form, to leave a period without a filing and a
filing without a period. Where the cheapest agree on a period's filing the date counts as `index`;
where nearly as cheap ones give another it is the latest of them, as `index_estimate`; where the
cheapest leaves the period out nothing is said of it.

Amendments (10-Q/A, 10-K/A) never are the first filing and are left aside. Reports of a transition
period (10-QT, 10-KT) count as those of their kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake.files import replace_file
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.normalise.schemas import DAY, MOMENT, TEXT
from polygon_fundamentals.statements import Generation, Statement, Timeframe

FILINGS_PATH = "/stocks/filings/vX/index"
QUARTERLY_FORMS = ("10-Q", "10-QT", "10-QSB")
ANNUAL_FORMS = ("10-K", "10-KT", "10-K405", "10-KSB")
SURE = "index"
ESTIMATE = "index_estimate"
# The page's greatest length in the vendor's description is 50,000; entries are small.
_PAGE = 10_000
_CIKS_A_REQUEST = 50

# Days from a period's end within which the SEC wants the report, with the extension that Rule
# 12b-25 grants and some days for weekends: 45 + 5 for a quarter, 90 + 15 for a year.
_ON_TIME = {False: 60, True: 120}
_SOONEST = 5
_LATEST = 730
# Costs, in units of one late report. A period without a filing and a filing without a period
# together cost more than a report some months late, and less than a whole history shifted by one.
_LATE = 1.0
_LATE_A_YEAR = 4.0
_OTHER_FORM = 2.0
_ALONE = 3.0
# Alignments that cost this much more than the cheapest are still thought possible. A report that
# came on time is not: to take the next one instead costs at least 1.6, one quarter of lateness.
_DOUBT = 1.5
# Period ends of one company that differ by less are one period, dated by different statements.
_SAME_PERIOD_DAYS = 10

SCHEMA = pa.schema(
    [
        pa.field("cik", TEXT),
        pa.field("period_end", DAY),
        pa.field("first_filing_date", DAY),
        pa.field("source", TEXT),
        pa.field("form_type", TEXT),
        pa.field("asked_at", MOMENT),
    ]
)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dated:
    """What an alignment says of one period: a position in the filings, and whether it is sure."""

    filing: int | None
    sure: bool = True


def align(
    ends: Sequence[date],
    annual: Sequence[bool],
    bounds: Sequence[date],
    filed: Sequence[date],
    filed_annual: Sequence[bool],
) -> list[Dated]:
    """Return for each period its first filing, as the module says.

    `ends` ascend; `annual` says whether a period ends a fiscal year; `bounds` are the earliest
    filings that are known to have shown the period: the first cannot be later. `filed` ascend.
    """
    if not ends or not filed:
        return [Dated(None) for _ in ends]
    cost = _costs(ends, annual, bounds, filed, filed_annual)
    before, after = _prefix(cost), _prefix(cost[::-1, ::-1])[::-1, ::-1]
    # Through period i and filing j: all before both, the pair, all after both.
    through = before[:-1, :-1] + cost + after[1:, 1:]
    without = (before[:-1] + after[1:]).min(axis=1) + _ALONE
    best = before[-1, -1]
    chosen = []
    for i in range(len(ends)):
        possible = np.flatnonzero(through[i] <= best + _DOUBT)
        if not len(possible) or without[i] < through[i].min():
            chosen.append(Dated(None))
        else:
            doubted = len(possible) > 1 or without[i] <= best + _DOUBT
            doubted = doubted or annual[i] != filed_annual[possible[-1]]
            chosen.append(Dated(int(possible[-1]), not doubted))
    return chosen


def _costs(
    ends: Sequence[date],
    annual: Sequence[bool],
    bounds: Sequence[date],
    filed: Sequence[date],
    filed_annual: Sequence[bool],
) -> Floats:
    """Return what it costs that a period (row) was first filed with a filing (column)."""
    end = np.array(ends, dtype="datetime64[D]")[:, np.newaxis]
    day = np.array(filed, dtype="datetime64[D]")[np.newaxis, :]
    limit = np.array(bounds, dtype="datetime64[D]")[:, np.newaxis]
    lag = (day - end).astype(np.int64)
    on_time = np.where(np.array(annual), _ON_TIME[True], _ON_TIME[False])[:, np.newaxis]
    late = np.where(lag > on_time, _LATE + _LATE_A_YEAR * (lag - on_time) / 365, 0.0)
    other = np.array(annual)[:, np.newaxis] != np.array(filed_annual)[np.newaxis, :]
    cost = late + _OTHER_FORM * other
    impossible = (lag < _SOONEST) | (lag > _LATEST) | (day > limit)
    result: Floats = np.where(impossible, np.inf, cost)
    return result


def _prefix(cost: Floats) -> Floats:
    """Return the least cost of the first i periods and the first j filings, for all i and j."""
    periods, filings = cost.shape
    alone = _ALONE * np.arange(filings + 1)
    least = np.empty((periods + 1, filings + 1))
    least[0] = alone
    for i in range(periods):
        row = least[i] + _ALONE
        row[1:] = np.minimum(row[1:], least[i, :-1] + cost[i])
        # A filing that is left out costs the same wherever: a running minimum spares the walk.
        least[i + 1] = np.minimum.accumulate(row - alone) + alone
    return least


def fetch_filings(client: Client, ciks: Sequence[str]) -> pd.DataFrame:
    """Return the quarterly and annual reports of companies: cik, filing_date, form_type.

    Amendments are not among them. One row a filing, by company and day.

    Raises:
        ApiError: a page failed for good.
    """
    rows: list[tuple[str, str, str]] = []
    for i in range(0, len(ciks), _CIKS_A_REQUEST):
        some = sorted(ciks[i : i + _CIKS_A_REQUEST])
        params = {
            "cik.any_of": ",".join(some),
            "form_type.any_of": ",".join((*QUARTERLY_FORMS, *ANNUAL_FORMS)),
            "limit": str(_PAGE),
            "sort": "filing_date.asc",
        }
        for page in client.pages(FILINGS_PATH, params):
            rows += [
                (str(row["cik"]).zfill(10), row["filing_date"], row["form_type"])
                for row in page.results
                if row.get("cik") and row.get("filing_date") and row.get("form_type")
            ]
    frame = pd.DataFrame(rows, columns=["cik", "filing_date", "form_type"])
    frame = frame[frame["form_type"].isin((*QUARTERLY_FORMS, *ANNUAL_FORMS))]
    frame["filing_date"] = pd.to_datetime(frame["filing_date"])
    return frame.sort_values(["cik", "filing_date"], kind="stable").reset_index(drop=True)


def periods_of(lake: Lake, tickers: Sequence[str]) -> pd.DataFrame:
    """Return the periods that v2's records of some tickers cover: cik, period_end, annual, bound.

    `annual` says that a fiscal year ends with it; `bound` is the earliest filing that any of its
    records names.

    Raises:
        DamagedFileError: a file of the lake cannot be read.
    """
    frames = []
    for statement in Statement:
        table = read_dataset(lake.dataset(Generation.V2, statement), tickers)
        names = ["cik", "period_end", "filing_date", "fiscal_quarter", "timeframe"]
        frames.append(table.select(names).to_pandas())
    rows = pd.concat(frames, ignore_index=True).dropna(subset=["cik", "period_end"])
    rows["period_end"] = pd.to_datetime(rows["period_end"])
    rows["bound"] = pd.to_datetime(rows["filing_date"])
    rows["is_year"] = rows["timeframe"] == Timeframe.ANNUAL.v2
    rows["is_fourth"] = (rows["timeframe"] == Timeframe.QUARTERLY.v2) & (
        rows["fiscal_quarter"] == 4
    )
    periods = rows.groupby(["cik", "period_end"], as_index=False).agg(
        bound=("bound", "min"), year=("is_year", "any"), fourth=("is_fourth", "any")
    )
    periods["annual"] = periods["year"] | periods["fourth"]
    result: pd.DataFrame = periods[["cik", "period_end", "annual", "bound"]]
    return result


def match_filings(periods: pd.DataFrame, filings: pd.DataFrame) -> pa.Table:
    """Return the first filing of each period that has one, in `SCHEMA` without `asked_at`.

    `periods` as of `periods_of`, `filings` as of `fetch_filings`.
    """
    found = []
    by_cik = dict(iter(filings.groupby("cik")))
    for cik, group in periods.sort_values(["cik", "period_end"]).groupby("cik"):
        theirs = by_cik.get(cik)
        if theirs is None:
            continue
        distinct = (group["period_end"].diff().dt.days > _SAME_PERIOD_DAYS) | (
            group["period_end"].diff().isna()
        )
        number = distinct.cumsum()
        whole = group.groupby(number).agg(
            end=("period_end", "max"), annual=("annual", "any"), bound=("bound", "min")
        )
        days = theirs["filing_date"].dt.date.tolist()
        forms = theirs["form_type"].tolist()
        aligned = align(
            whole["end"].dt.date.tolist(),
            whole["annual"].tolist(),
            whole["bound"].fillna(pd.Timestamp.max).dt.date.tolist(),
            days,
            [form in ANNUAL_FORMS for form in forms],
        )
        for end, place in zip(group["period_end"].dt.date, number, strict=True):
            dated = aligned[place - 1]
            if dated.filing is not None:
                source = SURE if dated.sure else ESTIMATE
                found.append((cik, end, days[dated.filing], source, forms[dated.filing]))
    wanted = pa.schema([SCHEMA.field(i) for i in range(5)])
    rows = [dict(zip(wanted.names, row, strict=True)) for row in found]
    return pa.Table.from_pylist(rows, schema=wanted)


def date_periods(lake: Lake, client: Client, tickers: Sequence[str]) -> dict[str, int]:
    """Ask the index for the companies of some tickers and keep when their periods were filed.

    What was kept of these companies before is replaced. Returns counts: companies, periods,
    `index`, `index_estimate` and `unknown` periods.

    Raises:
        ApiError: a page failed for good; nothing is kept then.
        DamagedFileError: a file of the lake cannot be read.
    """
    periods = periods_of(lake, tickers)
    ciks = sorted(periods["cik"].unique())
    table = match_filings(periods, fetch_filings(client, ciks))
    asked = pa.array([datetime.now(UTC)] * table.num_rows, MOMENT)
    fresh = table.append_column("asked_at", asked)
    with exclusive(lake.lock("original-dates")):
        known = load_dates(lake)
        kept = known.filter(pc.invert(pc.is_in(known["cik"], pa.array(ciks, TEXT))))
        whole = pa.concat_tables([kept, fresh]).sort_by(
            [("cik", "ascending"), ("period_end", "ascending")]
        )
        sink = pa.BufferOutputStream()
        pq.write_table(whole, sink, compression="zstd")
        replace_file(dates_file(lake), bytes(sink.getvalue()))
    sources = fresh["source"].to_pylist()
    return {
        "companies": len(ciks),
        "periods": len(periods),
        SURE: sources.count(SURE),
        ESTIMATE: sources.count(ESTIMATE),
        "unknown": len(periods) - len(sources),
    }


def dates_file(lake: Lake) -> Path:
    """Return where the dates are kept."""
    return lake.ops / "reference" / "original_dates.parquet"


def load_dates(lake: Lake) -> pa.Table:
    """Return the dates kept in the lake, in `SCHEMA`; empty where none were asked for.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    path = dates_file(lake)
    try:
        return pq.read_table(path, partitioning=None).cast(SCHEMA)
    except FileNotFoundError:
        return SCHEMA.empty_table()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} cannot be read; remove it and run `python -m flows historical-load "
            "--generation v2 --original-dates` again"
        ) from error


def by_source(dates: pa.Table, day: date | None) -> list[tuple[str, pd.Series[int]]]:
    """Return (source, days since 1970 by cik and period end), those up to `day` alone if given."""
    if day is not None:
        dates = dates.filter(pc.less_equal(dates["first_filing_date"], pa.scalar(day, DAY)))
    found = []
    for source in (SURE, ESTIMATE):
        rows = dates.filter(pc.equal(dates["source"], source))
        index = pd.MultiIndex.from_arrays(
            [
                rows["cik"].to_numpy(zero_copy_only=False),
                rows["period_end"].cast(pa.int32()).to_numpy().astype("int64"),
            ]
        )
        days = rows["first_filing_date"].cast(pa.int32()).to_numpy().astype("int64")
        found.append((source, pd.Series(days, index=index)))
    return found
