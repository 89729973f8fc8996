"""The comparison of both generations as a practitioner writes it in SQL, one query a statement.

    python -m benchmarks.sql LAKE > parity.sql

Made from the field map: every pair that is compared as an equal or as a number with the other
sign. One record a period, v1's latest acceptance and v2's latest filing, joined on company,
timeframe and period end. It counts; it neither explains a difference nor finds the right record
of a year end that is repeated under next year's label, nor matches companies without a CIK.
"""

from __future__ import annotations

import sys
from pathlib import Path

from polygon_fundamentals.field_map import Relation, primary_pairs
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement

RELATIVE, ABSOLUTE = 1e-6, 0.005


def columns(statement: Statement) -> list[tuple[str, str, str, int]]:
    """Return (v1 section, v1 name, v2 name, sign) of every pair of a statement."""
    return [
        (
            e.v1_section or "",
            e.v1 or "",
            e.v2 or "",
            -1 if e.relation is Relation.SIGN_FLIPPED else 1,
        )
        for e in primary_pairs(statement)
    ]


def query(lake: Lake, statement: Statement) -> str:
    """Return the statement's query: one row with the counts of each pair."""
    pairs = columns(statement)
    files = {
        generation: f"{lake.dataset(generation, statement).folder}/year=*/month=*/*.parquet"
        for generation in Generation
    }
    left = ",\n    ".join(
        f"financials.{section}.{v1}.value AS {v2}" for section, v1, v2, _ in pairs
    )
    right = ",\n    ".join(f"{sign} * {v2} AS {v2}" for _, _, v2, sign in pairs)
    counts = ",\n  ".join(
        f"count_if(v1.{v2} IS NOT NULL AND v2.{v2} IS NOT NULL) AS {v2}__compared,\n  "
        f"count_if(abs(v1.{v2} - v2.{v2}) > greatest({ABSOLUTE}, {RELATIVE} * abs(v1.{v2}))) "
        f"AS {v2}__differ,\n  "
        f"count_if(v1.{v2} IS NOT NULL AND v2.{v2} IS NULL) AS {v2}__only_v1,\n  "
        f"count_if(v1.{v2} IS NULL AND v2.{v2} <> 0) AS {v2}__only_v2"
        for _, _, v2, _ in pairs
    )
    return f"""WITH v1 AS (
  SELECT cik, timeframe, end_date AS period_end,
    {left}
  FROM read_parquet('{files[Generation.V1]}', hive_partitioning = true)
  QUALIFY row_number() OVER (
    PARTITION BY cik, timeframe, end_date
    ORDER BY acceptance_datetime DESC NULLS LAST, filing_date DESC NULLS LAST) = 1
), v2 AS (
  SELECT cik, replace(timeframe, 'trailing_twelve_months', 'ttm') AS timeframe, period_end,
    {right}
  FROM read_parquet('{files[Generation.V2]}', hive_partitioning = true)
  QUALIFY row_number() OVER (
    PARTITION BY cik, timeframe, period_end ORDER BY filing_date DESC NULLS LAST) = 1
)
SELECT '{statement}' AS statement,
  count(*) AS periods,
  count_if(v2.cik IS NULL) AS periods_only_v1,
  count_if(v1.cik IS NULL) AS periods_only_v2,
  {counts}
FROM v1 FULL JOIN v2 USING (cik, timeframe, period_end);
"""


def main(lake: str) -> None:
    """Print the three queries."""
    print("\n".join(query(Lake(Path(lake)), statement) for statement in Statement))


if __name__ == "__main__":
    main(*sys.argv[1:])
