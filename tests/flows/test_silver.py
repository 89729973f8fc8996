"""`silver`, `export` and `--original-dates` as a user runs them."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from flows.__main__ import main
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.sandbox import Sandbox
from polygon_fundamentals.statements import Generation, Statement


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any], str]:
    """Return exit code, JSON on standard output, and standard error."""
    capsys.readouterr()
    code = main([*words, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_load_build_look_back_and_export(
    sandbox: Sandbox, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--lake", str(lake.root)]
    load = ["historical-load", "--generation", "v2", "--tickers", "NAN", "--original-dates"]
    code, report, _ = run(capsys, *load, "--base-url", sandbox.url, *where)
    assert code == 0
    dates = report["original_dates"]
    assert dates["companies"] == 1
    assert dates["index"] + dates["index_estimate"] + dates["unknown"] == dates["periods"] > 60
    assert dates["index"] > 0.9 * dates["periods"]
    # Readers still see v1, which holds nothing: an empty table is a table too.
    code, report, _ = run(capsys, "silver", *where)
    assert (code, report["generation"], report["rows"]) == (0, "v1", 0)
    lake.pointer.symlink_to("fundamentals_v2")
    code, report, _ = run(capsys, "silver", *where)
    assert (code, report["generation"]) == (0, "v2")
    table = pd.read_parquet(report["path"])
    assert len(table) == report["rows"] > 70
    assert table["first_filing_source"].isin(["index", "index_estimate", "v2"]).all()
    code, report, _ = run(capsys, "silver", "--as-of", "2020-06-30", *where)
    assert code == 0
    past = pd.read_parquet(report["path"])
    day = pd.Timestamp("2020-06-30").date()
    assert 0 < len(past) < len(table)
    assert (past["first_filing_date"] <= day).all()
    code, answer, _ = run(capsys, "export", "--shape", "v1", "--ticker", "NAN", *where)
    assert code == 0
    assert answer["count"] == len(table)
    assert answer["results"][0]["financials"]["balance_sheet"]["assets"]["unit"] == "USD"
    # A damaged file: named, exit code 4, and the table stays.
    folder = lake.dataset(Generation.V2, Statement.CASH_FLOW).folder
    path = next(folder.rglob("ticker=NAN.parquet"))
    path.write_bytes(b"PAR1")
    code, report, errors = run(capsys, "silver", *where)
    assert code == 4
    assert str(path) in report["error"]
    assert len(errors.strip().splitlines()) == 1
    assert len(pd.read_parquet(lake.silver / "fundamentals_wide")) == len(table)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["silver", "--as-of", "yesterday"], "--as-of 'yesterday' is no day"),
        (["export", "--shape", "v1"], "give --ticker T to print records, or --output DIR"),
        (["silver", "--lake", "/nowhere/at/all"], "there is no lake at"),
    ],
)
def test_wrong_use(
    words: list[str], said: str, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if "--lake" in words else ["--lake", str(lake.root)]
    code, report, _ = run(capsys, *words, *where)
    assert code == 2
    assert said in report["error"]
