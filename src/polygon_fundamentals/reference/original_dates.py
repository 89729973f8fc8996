"""When periods were first filed: from SEC EDGAR, else from the vendor's index of filings.

EDGAR has the period of every report, so its dates are exact (`edgar_dates`); they count as
`edgar`. The index and its alignment stay for lakes that do not ask EDGAR, for days on which it
cannot be reached, and for the periods of a company from before its CIK.

v2's `filing_date` is the latest filing that repeated a period. The index
(`/stocks/filings/vX/index`) has every filing of a company with its form and day, but not the
period that it reports: `filing_alignment` matches the two. A date that is sure counts as `index`,
an estimate as `index_estimate`.

Amendments (10-Q/A, 10-K/A) never are the first filing and are left aside. Reports of a transition
period (10-QT, 10-KT) count as those of their kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.keys import SAME_PERIOD_DAYS
from polygon_fundamentals.datasets.schemas import DAY, MOMENT, TEXT
from polygon_fundamentals.errors import ApiError, DamagedFileError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.lake.storage.checked import encoded
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.reference.edgar_dates import EdgarDates, ReportsOf, first_filings
from polygon_fundamentals.reference.filing_alignment import align
from polygon_fundamentals.statements import FILINGS_PATH, Generation, Statement, Timeframe

if TYPE_CHECKING:  # who only reads the dates does without HTTP
    from polygon_fundamentals.http.client import Client

QUARTERLY_FORMS = ("10-Q", "10-QT", "10-QSB")
ANNUAL_FORMS = ("10-K", "10-KT", "10-K405", "10-KSB")
EXACT = "edgar"
SURE = "index"
ESTIMATE = "index_estimate"
# The greatest page that the vendor's description allows.
_PAGE = 10_000
_CIKS_A_REQUEST = 50
# Of so many companies some have filed a quarterly or annual report.
_SURELY_SOME = 160


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

_WITHOUT_MOMENT = pa.schema([SCHEMA.field(i) for i in range(5)])


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
                if row.get("cik")
                and all(isinstance(row.get(n), str) for n in ("filing_date", "form_type"))
            ]
    frame = pd.DataFrame(rows, columns=["cik", "filing_date", "form_type"])
    frame = frame[frame["form_type"].isin((*QUARTERLY_FORMS, *ANNUAL_FORMS))]
    # An entry without a valid day does not say when a period was filed.
    frame["filing_date"] = pd.to_datetime(frame["filing_date"], format="%Y-%m-%d", errors="coerce")
    frame = frame.dropna(subset=["filing_date"])
    return frame.sort_values(["cik", "filing_date"], kind="stable").reset_index(drop=True)


def periods_of(lake: Lake, tickers: Sequence[str]) -> pd.DataFrame:
    """Return the periods that v2's records of some tickers cover: cik, period_end, annual, bound.

    `annual` says that a fiscal year ends with it; `bound` is the earliest filing that any of its
    records names. A filing date before the period's end cannot be true and bounds nothing.

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
    rows["bound"] = rows["bound"].where(rows["bound"] >= rows["period_end"])
    rows["is_year"] = rows["timeframe"] == Timeframe.ANNUAL.v2
    rows["is_fourth"] = (rows["timeframe"] == Timeframe.QUARTERLY.v2) & (
        rows["fiscal_quarter"] == 4
    )
    periods = rows.groupby(["cik", "period_end"], as_index=False).agg(
        bound=("bound", "min"), year=("is_year", "any"), fourth=("is_fourth", "any")
    )
    periods["annual"] = periods["year"] | periods["fourth"]
    return periods[["cik", "period_end", "annual", "bound"]]


def match_filings(periods: pd.DataFrame, filings: pd.DataFrame) -> pa.Table:
    """Return the first filing of each period that has one, in `SCHEMA` without `asked_at`.

    `periods` as of `periods_of`, `filings` as of `fetch_filings`.
    """
    matches = []
    by_cik = dict(iter(filings.groupby("cik")))
    for cik, group in periods.sort_values(["cik", "period_end"]).groupby("cik"):
        theirs = by_cik.get(cik)
        if theirs is None:
            continue
        distinct = (group["period_end"].diff().dt.days > SAME_PERIOD_DAYS) | (
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
                matches.append((cik, end, days[dated.filing], source, forms[dated.filing]))
    rows = [dict(zip(_WITHOUT_MOMENT.names, row, strict=True)) for row in matches]
    return pa.Table.from_pylist(rows, schema=_WITHOUT_MOMENT)


def companies_of(lake: Lake, tickers: Sequence[str]) -> pd.DataFrame:
    """Return the periods of some tickers in either generation: cik, period_end, bound.

    Raises:
        DamagedFileError: a file of the lake cannot be read.
    """
    frames = [periods_of(lake, tickers)[["cik", "period_end", "bound"]]]
    for statement in Statement:
        table = read_dataset(lake.dataset(Generation.V1, statement), tickers)
        rows = table.select(["cik", "end_date", "filing_date"]).to_pandas()
        rows.columns = pd.Index(["cik", "period_end", "bound"])
        rows = rows.dropna(subset=["cik", "period_end"])
        rows["cik"] = rows["cik"].str.strip().str.zfill(10)
        for name in ("period_end", "bound"):
            rows[name] = pd.to_datetime(rows[name])
        rows["bound"] = rows["bound"].where(rows["bound"] >= rows["period_end"])
        frames.append(rows)
    whole = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    return whole.groupby(["cik", "period_end"], as_index=False).agg(bound=("bound", "min"))


def date_periods(
    lake: Lake, client: Client, tickers: Sequence[str], reports_of: ReportsOf | None = None
) -> dict[str, object]:
    """Find out when the periods of some tickers' companies were first filed, and keep it.

    `reports_of` gives what EDGAR has; the index is asked about companies of which a period is left.
    A date that is known stays where no better one comes. Returns counts: companies, periods (of
    v2), and of these `index`, `index_estimate` and `unknown`; with `reports_of` also `edgar`,
    `edgar_v1_only` (periods that v2 lacks) and `late_ciks`.

    Raises:
        ApiError: a page failed for good, and nothing is kept; or the index has no report of
            companies of which it must have some.
        DamagedFileError: a file of the lake cannot be read.
    """
    periods = periods_of(lake, tickers)
    exact = EdgarDates([], {})
    if reports_of is not None:
        exact = first_filings(companies_of(lake, tickers), reports_of)
    names = ("cik", "period_end", "first_filing_date", "form_type")
    rows = [dict(zip(names, row, strict=True)) | {"source": EXACT} for row in exact.rows]
    table = pa.Table.from_pylist(rows, schema=_WITHOUT_MOMENT)
    dated = {(cik, pd.Timestamp(end)) for cik, end, _, _ in exact.rows}
    keys = list(zip(periods["cik"], periods["period_end"], strict=True))
    left = sorted({cik for cik, end in keys if (cik, end) not in dated})
    filings = fetch_filings(client, left)
    others = match_filings(periods[periods["cik"].isin(left)], filings)
    before = load_dates(lake)
    source_of = _keep(lake, pa.concat_tables([table, others]))
    if filings.empty:
        _refuse_silence(before, left)
    sources = [source_of.get(key) for key in keys]
    counts: dict[str, object] = {
        "companies": len({*periods["cik"], *(cik for cik, *_ in exact.rows)}),
        "periods": len(periods),
        SURE: sources.count(SURE),
        ESTIMATE: sources.count(ESTIMATE),
        "unknown": sources.count(None),
    }
    if reports_of is not None:
        late = [f"{cik} (reports since {day})" for cik, day in exact.late_ciks.items()]
        v1_only = len(dated - set(keys))
        counts |= {EXACT: sources.count(EXACT), "edgar_v1_only": v1_only, "late_ciks": late}
    return counts


def _refuse_silence(before: pa.Table, ciks: Sequence[str]) -> None:
    """Raise where the index has no report of companies of which it once had, or of very many."""
    of_index = before.filter(pc.not_equal(before["source"], EXACT))
    if len(ciks) >= _SURELY_SOME or set(of_index["cik"].to_pylist()) & set(ciks):
        raise ApiError(
            f"{FILINGS_PATH} lists no report of any of the {len(ciks):,} companies asked for; the "
            "first filing dates that were known stay. Look at the API's status, then run again, "
            "or ask SEC EDGAR with `--witness edgar`"
        )


def _keep(lake: Lake, table: pa.Table) -> dict[tuple[str, pd.Timestamp], str]:
    """Write dates to those of the lake; return the source of each by company and period end.

    Of two of a period the one of the better source stands, of the same source the new one.
    """
    asked = pa.array([datetime.now(UTC)] * table.num_rows, MOMENT)
    fresh = table.append_column("asked_at", asked)
    with exclusive(lake.lock("original-dates")):
        both = pa.concat_tables([fresh, load_dates(lake)])
        rows = both.select(["cik", "period_end", "source"]).to_pandas()
        rows["rank"] = rows["source"].map({EXACT: 0, SURE: 1, ESTIMATE: 2})
        rows = rows.sort_values(["cik", "period_end", "rank"], kind="stable")
        rows = rows.drop_duplicates(["cik", "period_end"])
        replace_file(dates_file(lake), encoded(both.take(pa.array(rows.index))))
    ends = pd.to_datetime(rows["period_end"])
    return dict(zip(zip(rows["cik"], ends, strict=True), rows["source"], strict=True))


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
        dates = pq.read_table(path, partitioning=None, page_checksum_verification=True)
        return dates.cast(SCHEMA)
    except FileNotFoundError:
        return SCHEMA.empty_table()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} cannot be read; remove it, then ask for the dates again: "
            "`polygon-fundamentals historical-load --generation v2 --original-dates`"
        ) from error


def by_source(dates: pa.Table) -> list[tuple[str, pd.Series[int]]]:
    """Return (source, days since 1970 by cik and period end)."""
    series = []
    for source in (EXACT, SURE, ESTIMATE):
        rows = dates.filter(pc.equal(dates["source"], source))
        index = pd.MultiIndex.from_arrays(
            [
                rows["cik"].to_numpy(zero_copy_only=False),
                rows["period_end"].cast(pa.int32()).to_numpy().astype("int64"),
            ]
        )
        days = rows["first_filing_date"].cast(pa.int32()).to_numpy().astype("int64")
        series.append((source, pd.Series(days, index=index)))
    return series
