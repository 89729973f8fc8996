"""Tickers, companies, timeframes and period ends as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from polygon_fundamentals.datasets.keys import PERIOD as LABEL
from polygon_fundamentals.periods.companies import company_keys
from polygon_fundamentals.silver.timeline import (
    END_OFFSET,
    TIMEFRAMES,
    Ints,
)
from polygon_fundamentals.statements import Generation, Timeframe


@dataclass(frozen=True)
class Names:
    """The tickers and companies of the tables that are read together, by number, in their order."""

    tickers: pd.Index[str]
    companies: pd.Index[str]
    ciks: Mapping[str, str]

    @classmethod
    def of(cls, tables: Sequence[pa.Table], ciks: Mapping[str, str]) -> Names:
        """Return the names in tables with `ticker` and `cik`; `ciks` is `ticker_ciks` of them."""
        pieces = [
            table.select(["ticker", "cik"]).group_by(["ticker", "cik"]).aggregate([])
            for table in tables
        ]
        both = pa.concat_tables(pieces)
        companies = pd.Index(company_keys(both, ciks)).unique().sort_values()
        return cls(pd.Index(both["ticker"].to_pandas()).unique().sort_values(), companies, ciks)

    def keys(self, table: pa.Table, generation: Generation) -> pd.DataFrame:
        """Return ticker, company, timeframe (3 for an unknown one) and period end as numbers."""
        timeframe = table["timeframe"].to_pandas().replace(Timeframe.TTM.v2, Timeframe.TTM.v1)
        known = pd.Index(TIMEFRAMES).get_indexer(timeframe)
        return pd.DataFrame(
            {
                "ticker": self.tickers.get_indexer(table["ticker"].to_pandas()),
                "company": self.companies.get_indexer(pd.Index(company_keys(table, self.ciks))),
                "timeframe": np.where(known < 0, 3, known),
                "end": _numbers(table[LABEL[generation][0]]) + END_OFFSET,
            }
        )


def _numbers(days: pa.ChunkedArray) -> Ints:
    return np.asarray(days.cast(pa.int32()).to_numpy(), dtype=np.int64)
