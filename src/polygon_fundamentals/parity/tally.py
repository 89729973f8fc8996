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


def compared_lines(statement: Statement) -> dict[str, int]:
    """Return the line that each compared v2 field is counted under: that of its first v1 source."""
    lines = enumerate(entries(statement))
    return {e.v2: n for n, e in lines if e.v2 and e.v1 and e.source_rank == 1}


def tally(paired: Paired, findings: list[Findings], values: pd.DataFrame) -> pd.DataFrame:
    """Return the findings counted: ticker (the company's first), line, kind, count; no zeros.

    `line` is the position in the map's entries; of several v1 lines behind a v2 field the first
    stands for all. `values` has the kinds that count, acceptances applied.
    """
    line_of = compared_lines(paired.statement)
    flags = [
        (line_of[of_pair.pair.v2_field], Kind.MATCHED, of_pair.is_kind(Kind.MATCHED))
        for of_pair in findings
    ]
    for number, entry in enumerate(entries(paired.statement)):
        if entry.v2 not in line_of:
            column = paired.v1[entry.v1_column] if entry.v1_column else paired.v2[entry.v2 or ""]
            flags.append((number, Kind.NOT_COMPARABLE, ~np.isnan(column)))

    # Counted in one matrix, with a row per line and a column per company.
    first = np.unique(paired.company, return_index=True)[1]
    names = paired.periods["ticker"].to_numpy(dtype=object)[first]
    counts = np.array(
        [np.bincount(paired.company[rows], minlength=len(names)) for _, _, rows in flags]
    ).reshape(len(flags), len(names))
    which, company = np.nonzero(counts)
    counted = pd.DataFrame(
        {
            "ticker": names[company],
            "line": np.array([line for line, _, _ in flags], dtype=np.int64)[which],
            "kind": np.array([kind.value for _, kind, _ in flags], dtype=object)[which],
            "count": counts[which, company],
        }
    )
    listed = values.groupby(["ticker", "v2_field", "kind"], as_index=False).size()
    differing = pd.DataFrame(
        {
            "ticker": listed["ticker"].astype(object),
            "line": listed["v2_field"].map(line_of).astype(np.int64),
            "kind": listed["kind"].astype(object),
            "count": listed["size"].astype(np.int64),
        }
    )
    return pd.concat([differing, counted], ignore_index=True)


def fields_of(tallies: pd.DataFrame, statement: Statement) -> pd.DataFrame:
    """Return the number of findings of each kind, one row per line of the map with any side."""
    lines = entries(statement)
    line_of = compared_lines(statement)
    rows = [n for n, e in enumerate(lines) if line_of.get(e.v2 or "", n) == n]
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
