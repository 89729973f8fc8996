"""A dlt REST source into Parquet files, as dlt's documentation builds one.

v2: one request a ticker and statement; v1: one a ticker. dlt keeps its own folders, files and
tables. With two days, the filing dates between them over the whole market. Run twice, it appends
every row once more.

    python benchmarks/dlt_rest.py v2 URL KEY FOLDER TICKERS_FILE [SINCE UNTIL]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator
from dlt.sources.rest_api import rest_api_source
from requests import Request

V2 = {
    "balance_sheets": "stocks/financials/v1/balance-sheets",
    "cash_flow": "stocks/financials/v1/cash-flow-statements",
    "income_statements": "stocks/financials/v1/income-statements",
}


class SameHost(JSONLinkPaginator):
    """Follows `next_url` on the host that was asked: the sandbox names the vendor's, as v2 does."""

    def __init__(self, base: str) -> None:
        super().__init__(next_url_path="next_url")
        self._base = base

    def update_request(self, request: Request) -> None:
        """Point the request at the next page."""
        parts = urlsplit(self._next_reference)
        request.url = f"{self._base}{parts.path}?{parts.query}"
        request.params = {}


def resource(name: str, path: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return one endpoint's table."""
    return {
        "name": name,
        "write_disposition": "append",
        "endpoint": {"path": path, "params": params, "data_selector": "results"},
    }


def main(generation: str, url: str, key: str, folder: str, tickers: str, *window: str) -> None:
    """Download all."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    names = [{"ticker": ticker} for ticker in Path(tickers).read_text().split()]
    asked: dict[str, Any] = {"timeframe": "quarterly"}
    if window:
        asked |= {"filing_date.gte": window[0], "filing_date.lt": window[1]}
    else:
        column = "ticker" if generation == "v1" else "tickers"
        asked[column] = "{resources.followed.ticker}"
    if generation == "v1":
        wanted = [resource("financials", "vX/reference/financials", asked | {"limit": 100})]
    else:
        wanted = [resource(name, path, asked | {"limit": 50_000}) for name, path in V2.items()]
    source = rest_api_source(
        {
            "client": {
                "base_url": url,
                "auth": {"type": "bearer", "token": key},
                "paginator": SameHost(url),
            },
            "resource_defaults": {"parallelized": True},
            "resources": [
                # A page of rows, as an endpoint would yield it.
                *([] if window else [dlt.resource([names], name="followed", selected=False)]),
                *wanted,
            ],
        }
    )
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=str(Path(folder) / ".dlt"),
        destination=dlt.destinations.filesystem(bucket_url=Path(folder).absolute().as_uri()),
        dataset_name="lake",
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
