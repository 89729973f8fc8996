"""An old cron script that goes on writing v1's rows through the pointer."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.cutover_world import v1_row

PLACE = "balance_sheets/year=2025/month=05/ticker=AAA.parquet"


def append_as_the_old_script(path: Path, **other: object) -> None:
    """Read, concatenate, write: as scripts of this kind do, with the path they always used.

    `other` are values of the new row that are not as the API sent them.
    """
    row = v1_row("0000000001", "AAA", ("2024-12-31", "2025-05-20", 4), 77.0)
    new = pd.DataFrame([row | other])
    for name in ("filing_date", "end_date"):
        new[name] = pd.to_datetime(new[name]).dt.date
    new["fiscal_year"] = new["fiscal_year"].astype(int)
    old = pd.read_parquet(path, partitioning=None) if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    (new if old is None else pd.concat([old, new])).to_parquet(path)
