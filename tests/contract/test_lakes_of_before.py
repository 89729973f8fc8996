"""Today's code goes on with lakes that an earlier version left in the middle of something."""

from __future__ import annotations

import json
import os
import re
import tarfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.lake import Lake, revisions
from polygon_fundamentals.lake.codec import encode
from polygon_fundamentals.lake.older_rows import mend_older_rows
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call, call_with_errors, where
from tests.contract.golden_world import GOLDENS
from tests.lakes import contents, stray_files

LAKES = GOLDENS / "lake_of_today"
LOAD = ["historical-load", "--generation", "both", "--tickers", "AAAX,BAAX"]
LOAD += ["--statement", "cash_flow"]


def extracted(name: str, folder: Path) -> Lake:
    with tarfile.open(LAKES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Lake(folder / "lake")


def entries(lake: Lake) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted((lake.ops / "runs").glob("*.json"))]


def made_recent(lake: Lake, url: str) -> None:
    """Have the run begun an hour ago, at this address: a run of last week is not resumed."""
    started = datetime.now(UTC) - timedelta(hours=1)
    for path in sorted((lake.ops / "runs").iterdir()):
        if path.suffix == ".json":
            text = re.sub(r"http://127\.0\.0\.1:\d+", url, path.read_text())
            before = path.stat()
            path.write_text(
                re.sub(r'"started": "[^"]+"', f'"started": "{started.isoformat()}"', text)
            )
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        _, _, rest = path.name.partition("-")
        path.rename(path.with_name(f"{started:%Y%m%dT%H%M%S%f}Z-{rest}"))


@pytest.mark.usefixtures("prefect_server")
def test_a_load_that_was_cut_off_is_resumed(tmp_path: Path) -> None:
    lake = extracted("load_cut_off", tmp_path)
    with Sandbox(
        companies=2, seed=3, quirks=False, start=date(2026, 2, 1), today=date(2026, 7, 1)
    ) as server:
        made_recent(lake, server.url)
        code, told = call(*LOAD, *where(server.url, lake))
        assert (code, told["v1"]["units_resumed"], told["v2"]["units_resumed"]) == (0, 1, 0)
        assert (told["v1"]["units"], told["v1"]["requests"]) == (2, 2)
        fresh = Lake(tmp_path / "fresh")
        assert call(*LOAD, *where(server.url, fresh))[0] == 0
    crashed, resumed = entries(lake)
    assert (crashed["outcome"], resumed["outcome"]) == ("crashed", "succeeded")
    assert resumed["resumes"] == crashed["run"]
    assert resumed["parameters"] == crashed["parameters"]
    assert contents(lake) == contents(fresh)
    assert stray_files(lake) == []


UNDONE, FORWARD_AGAIN = ("cutover", "undone", "back"), ("cutover", "done", "forward")
FINISH = ["cutover", "--execute", "--force", "test"]
UNDO = ["rollback", "--execute", "--accept-stale"]


@pytest.mark.parametrize(
    ("killed", "words", "pointer", "journals"),
    [
        # Nothing that readers see had changed: the cutover is put back, then carried out anew.
        ("before", FINISH, "v2", [UNDONE, FORWARD_AGAIN]),
        ("before", UNDO, "v1", [UNDONE]),
        pytest.param("after", FINISH, "v2", [FORWARD_AGAIN], marks=pytest.mark.slow),
        pytest.param("after", UNDO, "v1", [UNDONE], marks=pytest.mark.slow),
    ],
)
def test_a_cutover_that_was_cut_off_is_finished_or_undone(
    killed: str,
    words: list[str],
    pointer: str,
    journals: list[tuple[str, str, str]],
    tmp_path: Path,
) -> None:
    lake = extracted(f"cutover_{killed}_the_pointer", tmp_path)
    before = contents(lake)
    code, told = call(*words, "--lake", str(lake.root))
    assert (code, told["pointer"], told["state"]) == (0, pointer, "done")
    assert (lake.silver / "fundamentals_wide").readlink().name.endswith(pointer)
    written = [json.loads(p.read_text()) for p in sorted((lake.ops / "cutover").glob("*Z-*.json"))]
    assert [(j["operation"], j["state"], j["direction"]) for j in written] == journals
    assert contents(lake) == before
    assert [(entry["flow"], entry["outcome"]) for entry in entries(lake)] == [
        ("historical-load", "succeeded"),
        ("silver", "succeeded"),
        ("cutover", "crashed"),
        (words[0], "succeeded"),
    ]
    shown = call("status", "--lake", str(lake.root))[1]
    assert (shown["primary"], shown["damaged"]) == (pointer, [])


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_false_revisions_of_tools_columns_are_set_right_by_the_next_load(
    generation: str, tmp_path: Path
) -> None:
    lake = extracted("tools_columns_hashed", tmp_path)
    dataset = lake.dataset(Generation.V1, Statement.CASH_FLOW)
    before = {ticker: revisions.read(dataset, ticker).num_rows for ticker in ("AAAX", "BAAX")}
    assert before == {"AAAX": 10, "BAAX": 6}
    first = datetime(2026, 6, 1, 6, tzinfo=UTC)
    with Sandbox(
        companies=2, seed=5, quirks=False, start=date(2025, 1, 1), today=date(2026, 6, 1)
    ) as server:
        # A load of v2 mends v1 too, which may be gone.
        code, answer, errors = call_with_errors(
            "historical-load", "--generation", generation, "--statement", "cash_flow",
            "--tickers", "AAAX,BAAX", *where(server.url, lake),
        )  # fmt: skip
        assert code == 0, answer
    assert "16 of their revisions differed in what a tool adds to a row alone" in errors
    assert {t: revisions.read(dataset, t).num_rows for t in before} == {"AAAX": 0, "BAAX": 0}
    rows = read_dataset(dataset).to_pylist()
    assert {row["observed_at"] for row in rows if row["filing_date"]} == {first}
    assert {row["unmapped"] for row in rows} == {None}
    if generation == "v1":
        # What v1 answers is what the lake has, but for BAAX' record without a filing date.
        assert (answer["v1"]["rows_changed"], answer["v1"]["rows_new"]) == (0, 1)
    with Sandbox(
        companies=2, seed=5, quirks=False, start=date(2025, 1, 1), today=date(2026, 6, 1)
    ) as server:
        _, _, errors = call_with_errors(
            "historical-load", "--generation", generation, "--statement", "cash_flow",
            "--fresh", "--tickers", "AAAX,BAAX", *where(server.url, lake),
        )  # fmt: skip
    assert "revisions differed" not in errors


def test_what_differs_besides_a_tools_columns_stays_a_revision(tmp_path: Path) -> None:
    lake = extracted("tools_columns_hashed", tmp_path)
    dataset = lake.dataset(Generation.V1, Statement.CASH_FLOW)
    past = revisions.read(dataset, "AAAX")
    # The two downloads of one record said another name: a content of its own, seen twice.
    names = [
        "Before Inc" if i < 2 else name for i, name in enumerate(past["company_name"].to_pylist())
    ]
    place = past.schema.get_field_index("company_name")
    past = past.set_column(place, past.schema.field(place), [names])
    dataset.revisions_file("AAAX").write_bytes(encode(past, dataset, ".revisions"))
    mended = mend_older_rows(lake)
    assert mended is not None
    assert mended.revisions == 15
    [row] = revisions.read(dataset, "AAAX").to_pylist()
    assert (row["company_name"], row["unmapped"]) == ("Before Inc", None)
    assert row["observed_at"] == datetime(2026, 6, 1, 6, tzinfo=UTC)
    assert mend_older_rows(lake) is None
