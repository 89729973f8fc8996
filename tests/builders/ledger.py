"""Entries of the run ledger, written as files: what runs of any outcome leave."""

from __future__ import annotations

import os
import socket
from typing import Any

import orjson

from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger.process import process_started

SCOPE = {"tickers": [], "universe": None, "statements": ["cash_flow"], "timeframes": ["annual"]}


def entry(lake: Lake, name: str, **changes: Any) -> None:
    """Write the entry of a run that goes on in this process; `changes` say what is otherwise."""
    found = {
        "run": name,
        "flow": "daily-update",
        "parameters": dict(SCOPE),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": process_started(os.getpid()),
        "started": "2026-07-01T10:00:00+00:00",
        "ended": None,
        "outcome": "running",
        **changes,
    }
    day = found["started"][:19].replace("-", "").replace(":", "")
    path = ledger.runs_folder(lake) / f"{day}000000Z-{found['flow']}-{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(found))
