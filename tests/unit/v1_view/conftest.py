"""A lake loaded from a sandbox, and `serve-v1` over it beside that sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import fill
from tests.v1_server import V1Server, serving_v1


@dataclass
class Pair:
    """The API and its stand-in made from the lake."""

    sandbox: Sandbox
    lake: Lake
    server: V1Server


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Six companies over a year, two of them in one row."""
    lake = Lake(tmp_path_factory.mktemp("serve_v1") / "lake")
    lake.prepare()
    with Sandbox(companies=6, start=date(2025, 7, 1), api_key=KEY) as sandbox:
        fill(lake, sandbox, sandbox.tickers)
        with serving_v1(Path(lake.root)) as server:
            server.wait_until_complete()
            yield Pair(sandbox, lake, server)
