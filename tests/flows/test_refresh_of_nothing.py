"""A refresh that v2 answers with nothing at all is not a success."""

from __future__ import annotations

import json

import pytest

from flows.__main__ import main
from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from tests.servers import results, serving


def test_a_refresh_that_gets_no_row_fails_and_says_so(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(lambda _: results([])) as server:
        where = ["--lake", str(lake.root), "--base-url", server.url, "--json"]
        assert main(["refresh", "--tickers", "AAPL,MSFT", *where]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["message"].startswith("v2 gave no row for any of 2 tickers")
    [record] = ledger.read_entries(lake)[0]
    assert record.outcome == ledger.FAILED
