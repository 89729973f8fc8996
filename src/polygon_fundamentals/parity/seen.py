"""Every period of either generation, and what became of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.meeting import Meeting, TickersOf
from polygon_fundamentals.parity.paired import Positions
from polygon_fundamentals.parity.totals import COMPANY_ABSENT, NEVER_IN_V2, PRESENT
from polygon_fundamentals.periods.current import label_months
from polygon_fundamentals.statements import Generation


def periods_seen(
    meeting: Meeting, v1: pa.Table, v2: pa.Table, missing: Positions, absent: Positions
) -> pd.DataFrame:
    """Return the periods of both tables: ticker, cik, timeframe, period_end, state.

    Periods that both have also carry `label_months` of both and v2's date (v1_label, v2_label,
    v2_period_end); periods that v2 alone has, how many days they end from one that both have
    (days_apart). `missing` and `absent` are positions in `v1` of periods that v2 lacks: those of
    companies that v2 has, and those of other companies.
    """
    v1_keys, v2_keys, tickers = meeting.v1_keys, meeting.v2_keys, meeting.company_tickers
    met, extra = v2_keys.iloc[meeting.v2_met], v2_keys.iloc[meeting.v2_alone]
    parts = [
        _seen(v1_keys.iloc[meeting.v1_met], PRESENT, tickers).assign(
            v1_label=label_months(v1, Generation.V1)[meeting.v1_met],
            v2_label=label_months(v2, Generation.V2)[meeting.v2_met],
            v2_period_end=met["period_end"].to_numpy(),
        ),
        _seen(v1_keys.iloc[missing], Kind.MISSING.value, tickers),
        _seen(v1_keys.iloc[absent], COMPANY_ABSENT, tickers),
        _seen(v1_keys.iloc[meeting.never_in_v2], NEVER_IN_V2, tickers),
        _seen(extra, Kind.EXTRA.value, tickers).assign(days_apart=_days_apart(extra, met)),
    ]
    return pd.concat(parts, ignore_index=True)


def _seen(keys: pd.DataFrame, state: str, company_tickers: TickersOf) -> pd.DataFrame:
    """The periods with their state; `ticker` is the first of the company's."""
    first = keys["company"].map(company_tickers).astype(object).str[0]
    return pd.DataFrame(
        {
            "ticker": first.to_numpy(dtype=object),
            "cik": cik_of(keys["company"]),
            "timeframe": keys["timeframe"].to_numpy(),
            "period_end": keys["period_end"].to_numpy(),
            "state": state,
        }
    )


def _days_apart(extra: pd.DataFrame, met: pd.DataFrame) -> npt.NDArray[np.float64]:
    """How far each period ends from the nearest of `met`; NaN if the company has none."""
    group = ["company", "timeframe"]
    rows = extra[[*group, "period_end"]].assign(row=np.arange(len(extra)))
    near = rows.merge(met[[*group, "period_end"]], on=group, suffixes=("", "_met"))
    days = (near["period_end"] - near["period_end_met"]).abs().dt.days
    nearest = days.groupby(near["row"]).min()
    return nearest.reindex(rows["row"]).to_numpy().astype(np.float64)


def cik_of(company: pd.Series[str]) -> npt.NDArray[np.object_]:
    """Return the CIK of each company, None where it is known by its ticker only."""
    return company.where(~company.str.startswith("ticker:"), None).to_numpy(dtype=object)
