"""`silver` where another tool's silver is: its folder at the path, its files in our build."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from polygon_fundamentals.lake import Lake
from tests.builders.commands import call
from tests.cutover_world import fill
from tests.lakes import fingerprint

OTHERS = "year=2025/quarter=Q1/data.parquet"


def write_as_the_other_tool(lake: Lake) -> None:
    path = lake.silver / "fundamentals_wide" / OTHERS
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"ticker": ["AAA"], "revenue": [1.0]}).to_parquet(path)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_the_path_is_adopted_and_given_back(lake: Lake) -> None:
    fill(lake)
    write_as_the_other_tool(lake)
    table, here = lake.silver / "fundamentals_wide", ["--lake", str(lake.root)]
    before = fingerprint(table)
    code, answer = call("silver", *here)
    assert (code, "--adopt-path" in answer["error"]) == (4, True)
    assert fingerprint(table) == before
    code, answer = call("silver", "--adopt-path", *here)
    assert (code, answer["moved_aside"]) == (0, str(lake.silver / "fundamentals_wide_before"))
    assert table.is_symlink()
    assert len(pd.read_parquet(table)) == 6
    assert fingerprint(lake.silver / "fundamentals_wide_before") == before
    assert call("silver", *here)[0] == 0
    code, answer = call("silver", "--give-path-back", *here)
    assert (code, table.is_symlink(), fingerprint(table)) == (0, False, before)
    assert not os.path.lexists(lake.silver / "fundamentals_wide_before")
    code, answer = call("silver", "--give-path-back", *here)
    assert (code, "nothing to do" in answer["error"]) == (1, True)


@pytest.mark.usefixtures("prefect_server")
def test_what_its_job_writes_into_a_build_is_moved_out_and_named(lake: Lake) -> None:
    fill(lake)
    here = ["--lake", str(lake.root)]
    assert call("silver", *here)[0] == 0
    table = lake.silver / "fundamentals_wide"
    before = fingerprint(table)
    write_as_the_other_tool(lake)
    assert fingerprint(table) != before
    code, answer = call("inspect", *here)
    assert (code, answer["found"]["silver"]["foreign"]) == (1, [OTHERS])
    code, answer = call("silver", *here)
    [moved] = answer["moved_out"]
    assert (code, moved.startswith("silver/foreign/"), moved.endswith(OTHERS)) == (0, True, True)
    assert (lake.root / moved).is_file()
    assert fingerprint(table) == before
    assert len(pd.read_parquet(table)) == 6


def test_one_of_its_options_at_a_time(lake: Lake) -> None:
    words = ["silver", "--adopt-path", "--give-path-back", "--lake", str(lake.root)]
    code, answer = call(*words)
    assert (code, "give one of" in answer["error"]) == (2, True)
