"""The accession numbers of the filings that rows are from, as v1 or SEC's own list has them.

They are integers of up to 18 digits, 0 for none.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.datasets.schemas import TEXT
from polygon_fundamentals.reference.edgar_cache import EdgarCache
from polygon_fundamentals.silver.timeline import END_OFFSET, Ints, moments, pairs

# A statement's period end may be some days off the report's.
_DAYS_OFF = 10


def in_urls(urls: pa.ChunkedArray) -> Ints:
    """Return the number in each of v1's URLs of a filing."""
    parts = pc.extract_regex(urls, r"(?P<filer>\d{10})-(?P<year>\d{2})-(?P<number>\d{6})")
    digits = pc.binary_join_element_wise(*(pc.struct_field(parts, [i]) for i in range(3)), "")
    return np.asarray(pc.fill_null(pc.cast(digits, pa.int64()), 0).to_numpy(), dtype=np.int64)


def as_text(numbers: Ints) -> pa.Array:
    """Return numbers as SEC writes them, `0000320193-23-000106`."""
    known, place = np.unique(numbers, return_inverse=True)
    digits = [f"{number:018d}" for number in known.tolist()]
    texts = [f"{d[:10]}-{d[10:12]}-{d[12:]}" if int(d) else None for d in digits]
    return pa.array(texts, TEXT).take(pa.array(place))


def add_listed(rows: pd.DataFrame, companies: pd.Index[str], cache: EdgarCache) -> None:
    """Fill in `accession` where SEC's list has one report of the day on which the row was filed.

    The day is `filing_date`, or `first_filing_date` without one. If the list has several reports of
    a day, the one on the row's period counts, provided that it is the only one.
    """
    day = rows["filing_date"].fillna(rows["first_filing_date"])
    rows_open = np.flatnonzero((rows["accession"] == 0) & day.notna())
    company = rows["company"].to_numpy()[rows_open]
    listed = _listed(np.unique(company), companies, cache)
    filed, end = (rows_of.to_numpy()[rows_open].astype(np.int64) for rows_of in (day, rows["end"]))
    i, j = pairs(
        moments(listed["company"].to_numpy(), listed["day"].to_numpy()), moments(company, filed)
    )
    apart = listed["end"].to_numpy()[j] - end[i]
    i, j, apart = (values[apart >= -_DAYS_OFF] for values in (i, j, apart))
    own = apart <= _DAYS_OFF
    of_day, of_period = (np.bincount(i, weights, len(rows_open)) for weights in (None, own))
    sure = (of_day[i] == 1) | (own & (of_period[i] == 1))
    numbers = rows["accession"].to_numpy().copy()
    numbers[rows_open[i[sure]]] = listed["accession"].to_numpy()[j[sure]]
    rows["accession"] = numbers


def _listed(numbers: Iterable[int], companies: pd.Index[str], cache: EdgarCache) -> pd.DataFrame:
    """Return the reports of some companies: company, day, end and accession, all as numbers."""
    reports = [np.empty((0, 4), dtype=np.int64)]
    for number in numbers if cache.folder.is_dir() else ():
        entry = cache.filings(companies[number])
        if entry is None or not entry.rows.num_rows:
            continue
        rows = entry.rows.filter(pc.is_valid(entry.rows["report_date"]))
        day, end = (rows[n].cast(pa.int32()).to_numpy() for n in ("filing_date", "report_date"))
        accession = in_urls(rows["accession"])
        reports.append(
            np.column_stack([np.full(len(day), number), day, end + END_OFFSET, accession])
        )
    return pd.DataFrame(np.vstack(reports), columns=["company", "day", "end", "accession"])
