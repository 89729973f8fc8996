"""The readers' check that ships: yearly figures of every ticker that both APIs define alike.

    python -m polygon_fundamentals.cutover.exact_figures SILVER

prints JSON: ticker → end of the year → column → figure, of each ticker's last years. It imports
little, since a switch runs it several times.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

YEARS = 3
# Lines that field_map calls exact, and that every company has; neither per share nor by segment.
COLUMNS = (
    "bs_total_assets",
    "bs_total_liabilities",
    "bs_total_equity",
    "cf_net_cash_from_operating_activities",
    "is_consolidated_net_income_loss",
)


def exact_figures(silver: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return each ticker's figures of its last years; a line that it has not is left out."""
    rows: list[dict[str, Any]] = _annual(silver).to_pylist()
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        values = {name: row[name] for name in COLUMNS if row[name] is not None}
        years = figures.setdefault(row["ticker"], {})
        if values and len(years) < YEARS:
            years.setdefault(row["period_end"].isoformat(), values)
    return {ticker: years for ticker, years in figures.items() if years}


def _annual(silver: Path) -> pa.Table:
    table = ds.dataset(silver, format="parquet").to_table(
        columns=["ticker", "period_end", *COLUMNS],
        filter=(pc.field("timeframe") == "annual") & pc.field("period_end").is_valid(),
    )
    return table.sort_by([("ticker", "ascending"), ("period_end", "descending")])


if __name__ == "__main__":
    print(json.dumps(exact_figures(Path(sys.argv[1]))))
