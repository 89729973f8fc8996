"""A lake that another tool wrote before ours came: v1's records as they were served, whole."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from campaign.facts import V1_SECTIONS
from campaign.where import Where
from polygon_fundamentals.normalise.exact import parse_rows
from polygon_fundamentals.statements import V1_PATH, Generation, Statement


def write_lake(where: Where) -> int:
    """Write one file per ticker, statement and month of filing; return how many.

    Records without a filing date are left out, as quantmini leaves them out, and those of every
    third month are, so that a load adds files and rows.
    """
    client = where.loader().client
    places: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for ticker in where.tickers:
        for page in client.pages(V1_PATH, {"ticker": ticker, "limit": "100"}):
            for row in parse_rows(page.body):
                filed = row.get("filing_date") or ""
                if filed and int(filed[5:7]) % 3:
                    places.setdefault((int(filed[:7].replace("-", "")), ticker), []).append(row)
    downloaded = datetime.now(UTC).replace(tzinfo=None)
    written = 0
    for (partition, ticker), rows in places.items():
        for name in V1_SECTIONS:
            path = where.lake.dataset(Generation.V1, Statement(name)).file(partition, ticker)
            # Arrow finds no common type for some of the sandbox's oddities.
            with suppress(pa.ArrowException):
                table = pa.Table.from_pylist([{**row, "downloaded_at": downloaded} for row in rows])
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path, compression="zstd")
                written += 1
    return written
