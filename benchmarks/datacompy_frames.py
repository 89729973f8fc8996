"""Compare both generations with datacompy, one frame a generation and statement.

    python benchmarks/datacompy_frames.py LAKE PAIRS_FILE

The pairs come as JSON: statement → [v1 section, v1 name, v2 name, sign]. One record a period, as
in the SQL; v1's lines are taken out of their nested form before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import datacompy
import pyarrow.compute as pc
import pyarrow.dataset as ds

KEY = ["cik", "timeframe", "period_end"]


def v1_frame(folder: Path, pairs: list[list[Any]]) -> Any:
    """Return v1's latest record a period with one column a line, under v2's names."""
    columns = {name: pc.field(name) for name in ("cik", "timeframe")}
    columns |= {"period_end": pc.field("end_date"), "at": pc.field("acceptance_datetime")}
    columns |= {v2: pc.field("financials", section, v1, "value") for section, v1, v2, _ in pairs}
    frame = ds.dataset(folder, partitioning="hive").to_table(columns=columns).to_pandas()
    frame = frame.sort_values("at", na_position="first").drop_duplicates(KEY, keep="last")
    return frame.drop(columns="at")


def v2_frame(folder: Path, pairs: list[list[Any]]) -> Any:
    """Return v2's latest record a period, with v1's signs."""
    names = ["cik", "timeframe", "period_end", "filing_date", *(pair[2] for pair in pairs)]
    frame = ds.dataset(folder, partitioning="hive").to_table(columns=names).to_pandas()
    frame = frame.sort_values("filing_date", na_position="first")
    frame = frame.drop_duplicates(KEY, keep="last").drop(columns="filing_date")
    for _, _, v2, sign in pairs:
        frame[v2] *= sign
    return frame.replace({"timeframe": {"trailing_twelve_months": "ttm"}})


def main(lake: str, pairs_file: str) -> None:
    """Compare all statements."""
    found = {"rows": 0, "rows_unequal": 0}
    for statement, pairs in json.loads(Path(pairs_file).read_text()).items():
        bronze = Path(lake) / "bronze"
        left = v1_frame(bronze / "fundamentals" / statement, pairs)
        right = v2_frame(bronze / "fundamentals_v2" / statement, pairs)
        compare = datacompy.PandasCompare(
            left, right, join_columns=KEY, abs_tol=0.005, rel_tol=1e-6, df1_name="v1", df2_name="v2"
        )
        compare.report()
        found["rows"] += len(compare.intersect_rows)
        found["rows_unequal"] += len(compare.intersect_rows) - compare.count_matching_rows()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
