"""Every value of some companies, for their pages: what the run found, and what is equal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.lake.listing import read_shown
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.parity.compare import equal_values
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.periods.companies import Cluster, batches, ciks_of, clusters_of
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Generation

# Some 70 MB of values at a time.
TICKERS_AT_A_TIME = 9
# What a page shows of a value, and what tells it from others.
_COLUMNS = (
    "statement", "ticker", "tickers", "cik", "timeframe", "period_end", "v2_field", "v1_value",
    "v2_value", "difference", "kind", "detail",
)  # fmt: skip
_VALUE = ["statement", "ticker", "cik", "timeframe", "period_end", "v2_field"]


def company_values(
    lake: Lake, tickers: Sequence[str], all_findings: Sequence[StatementFindings]
) -> Iterator[tuple[Sequence[str], pd.DataFrame]]:
    """Yield (some of the tickers, all of their values in all statements, equal ones too).

    What differs is taken from the run's findings, which a witness may have changed since the
    comparison; only what is equal is read from the lake. `tickers` in the values names every ticker
    of the company. The findings' folders hold the listings of the plan as well: to list a market
    again takes long.
    """
    clusters, reference = _companies(tickers, all_findings)
    differing = {f.statement: _differing(f, clusters) for f in all_findings}
    for whole in batches(clusters, TICKERS_AT_A_TIME):
        frames = []
        for findings in all_findings:
            v1, v2 = (
                read_dataset(dataset, whole, read_shown(findings.folder, dataset, whole))
                for dataset in (lake.dataset(g, findings.statement) for g in Generation)
            )
            values = differing[findings.statement]
            mine = values.filter(pc.is_in(values["ticker"], pa.array(whole, pa.string())))
            equal = equal_values(v1, v2, findings.statement, reference)[list(_COLUMNS)]
            frames += [mine.to_pandas(), equal]
        every = pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)
        # A file that changed since the comparison does not change what the comparison found.
        yield [t for t in whole if t in tickers], every.drop_duplicates(_VALUE, ignore_index=True)


def _companies(
    tickers: Sequence[str], all_findings: Iterable[StatementFindings]
) -> tuple[list[Cluster], dict[str, ReferenceTicker]]:
    """Return the clusters of some tickers, and the company of each of v1's tickers.

    A cluster has the present ticker of a company that v1 has under a former one.
    """
    known: dict[str, set[str]] = {ticker: set() for ticker in tickers}
    reference: dict[str, ReferenceTicker] = {}
    for findings in all_findings:
        of_v1 = findings.table("tickers", ["ticker", "cik"])
        pairs = zip(of_v1["ticker"].to_pylist(), of_v1["cik"].to_pylist(), strict=True)
        reference.update((ticker, ReferenceTicker(cik=cik)) for ticker, cik in pairs if cik)
        records = (findings.table(f"{g.value}_records", ["ticker", "cik"]) for g in Generation)
        for rows in (of_v1, *records):
            for ticker, ciks in ciks_of(rows).items():
                known.setdefault(ticker, set()).update(ciks)
    clusters = clusters_of({ticker: sorted(ciks) for ticker, ciks in known.items()})
    return [cluster for cluster in clusters if set(cluster) & set(tickers)], reference


def _differing(findings: StatementFindings, clusters: Iterable[Cluster]) -> pa.Table:
    """What the run found of some tickers."""
    wanted = pa.array([ticker for cluster in clusters for ticker in cluster], pa.string())
    parts = findings.batches("values", list(_COLUMNS))
    return pa.concat_tables([part.filter(pc.is_in(part["ticker"], wanted)) for part in parts])
