"""Counting findings: by company and line, and from that by line."""

from __future__ import annotations

import numpy as np
import pandas as pd

from polygon_fundamentals.field_map import entries
from polygon_fundamentals.parity.explain import Findings
from polygon_fundamentals.parity.kinds import APART_KINDS, COMPARED_KINDS, Kind
from polygon_fundamentals.parity.paired import Paired
from polygon_fundamentals.statements import Statement

_KINDS = [kind.value for kind in (*COMPARED_KINDS, *APART_KINDS)]
COLUMNS = ["ticker", "line", "kind", "count"]


def tally(paired: Paired, findings: list[Findings], values: pd.DataFrame) -> pd.DataFrame:
    """The findings counted: ticker (the company's first), line, kind, count; no zeros.

    `line` is the position in the map's entries; of several v1 lines behind a v2 field the first
    stands for all. `values` has the kinds that count, acceptances applied.
    """
    lines = entries(paired.statement)
    ticker = paired.periods["ticker"].to_numpy(dtype=object)
    line_of = {e.v2: n for n, e in enumerate(lines) if e.v2 and e.v1 and e.source_rank == 1}
    listed = values.groupby(["ticker", "v2_field", "kind"], as_index=False).size()
    frames = [
        pd.DataFrame(
            {
                "ticker": listed["ticker"],
                "line": listed["v2_field"].map(line_of),
                "kind": listed["kind"],
                "count": listed["size"],
            }
        )
    ]
    for found in findings:
        matched = ticker[found.is_kind(Kind.MATCHED)]
        frames.append(_counted(matched, line_of[found.pair.v2_field], Kind.MATCHED))
    for number, entry in enumerate(lines):
        if entry.v2 in line_of:
            continue
        column = paired.v1[entry.v1_column] if entry.v1_column else paired.v2[entry.v2 or ""]
        frames.append(_counted(ticker[~np.isnan(column)], number, Kind.NOT_COMPARABLE))
    counted = pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)[COLUMNS]
    return counted.astype({"line": np.int64, "count": np.int64, "ticker": object, "kind": object})


def _counted(
    tickers: np.ndarray[tuple[int], np.dtype[np.object_]], line: int, kind: Kind
) -> pd.DataFrame:
    names, counts = np.unique(tickers.astype(str), return_counts=True)
    return pd.DataFrame(
        {"ticker": names.astype(object), "line": line, "kind": kind.value, "count": counts}
    )


def fields_of(tallies: pd.DataFrame, statement: Statement) -> pd.DataFrame:
    """The number of findings of each kind, a row a line of the map that has any side."""
    lines = entries(statement)
    firsts = {e.v2 for e in lines if e.v1 and e.v2}
    rows = [n for n, e in enumerate(lines) if e.source_rank == 1 or e.v2 not in firsts]
    counts = tallies.pivot_table(
        index="line", columns="kind", values="count", aggfunc="sum", fill_value=0, observed=True
    )
    counts = counts.reindex(index=rows, columns=_KINDS, fill_value=0).astype(np.int64)
    counts.columns.name = counts.index.name = None
    frame = pd.DataFrame(
        {
            "statement": statement.value,
            "v1_field": [lines[n].v1 for n in rows],
            "v2_field": [lines[n].v2 for n in rows],
            "relation": [lines[n].relation.value for n in rows],
            "compared": counts[[k.value for k in COMPARED_KINDS]].sum(axis=1).to_numpy(),
        }
    )
    return pd.concat([frame, counts.reset_index(drop=True)], axis=1)
