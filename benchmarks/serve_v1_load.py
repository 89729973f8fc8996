"""Eight programs that read one ticker's quarters after another, for locust."""

from __future__ import annotations

import os
from itertools import cycle
from pathlib import Path

from locust import FastHttpUser, task

TICKERS = cycle(Path(os.environ["LOAD_TICKERS"]).read_text().split())
HEADERS = {"Authorization": f"Bearer {os.environ['LOAD_KEY']}", "Accept-Encoding": "gzip"}


class Reader(FastHttpUser):
    """A reader that never rests."""

    @task
    def quarters(self) -> None:
        """Ask for the quarters of the next ticker."""
        self.client.get(
            f"/vX/reference/financials?ticker={next(TICKERS)}&timeframe=quarterly&limit=100",
            headers=HEADERS,
            name="quarters",
        )
