"""Recordings of v1 make the lake that a load makes."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.historical import load_v1
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of
from tests.lakes import contents, fingerprint, stray_files
from tests.recordings import command, pages, run, run_apart, write_singer

API = Path(__file__).resolve().parents[4] / "shared" / "api" / "real" / "v1"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(companies=6, start=date(2025, 10, 1), api_key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def loaded(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    lake = Lake(tmp_path_factory.mktemp("loaded") / "lake")
    lake.prepare()
    loader = Loader(client_of(sandbox), lake)
    filters = Filters(timeframes=tuple(Timeframe))
    for ticker in sandbox.tickers:
        load_v1(loader, ticker, list(Statement), filters)
    return contents(lake)


def write_pages(folder: Path, bodies: list[bytes]) -> None:
    folder.mkdir(parents=True)
    for number, body in enumerate(bodies):
        (folder / f"{number:05d}.json.gz").write_bytes(gzip.compress(body, 1))


def write_json(folder: Path, records: list[dict[str, Any]]) -> None:
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(records))


def write_lines(folder: Path, records: list[dict[str, Any]]) -> None:
    folder.mkdir()
    (folder / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


@pytest.mark.parametrize(
    "write",
    [write_json, *(pytest.param(w, marks=pytest.mark.slow) for w in (write_lines, write_singer))],
)
def test_each_form_of_json_makes_the_lake_of_a_load(
    sandbox: Sandbox, loaded: dict[str, list[str]], tmp_path: Path, write: Any
) -> None:
    write(tmp_path / "in", sandbox.rows("v1"))
    code, report, stderr = run_apart(tmp_path / "lake", tmp_path / "in")
    assert (code, stderr, report["failed"]) == (0, "", [])
    assert report["records"] == len(sandbox.rows("v1"))
    lake = Lake(tmp_path / "lake")
    assert contents(lake) == loaded
    before = fingerprint(lake.root)
    code, again, _ = run(lake.root, tmp_path / "in")
    assert (code, again["rows_new"], again["rows_changed"]) == (0, 0, 0)
    assert again["rows_unchanged"] > 0
    assert fingerprint(lake.root) == before


def test_flattened_and_nested_tables_hold_the_same_values(
    sandbox: Sandbox, loaded: dict[str, list[str]], tmp_path: Path
) -> None:
    records = [r for r in sandbox.rows("v1") if r.get("tickers")]
    (tmp_path / "in").mkdir()
    flat = [
        {k: json.dumps(v) if isinstance(v, list) else v for k, v in r.items() if k != "financials"}
        | {
            f"financials.{section}.{name}.{key}": value
            for section, lines in r["financials"].items()
            for name, line in lines.items()
            for key, value in line.items()
        }
        for r in records
    ]
    half = len(flat) // 2
    names = sorted({name for row in flat for name in row})
    with (tmp_path / "in" / "flat.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(flat[:half])
    columns = {name: [r.get(name) for r in records[half:]] for r in records for name in r}
    pq.write_table(pa.table(columns), tmp_path / "in" / "nested.parquet")
    code, report, stderr = run(tmp_path / "lake", tmp_path / "in")
    assert (code, stderr, report["failed"]) == (0, "", [])

    def values(found: dict[str, list[str]]) -> dict[str, list[Any]]:
        """Return rows without the keys that a table cannot tell absent from null."""
        told: dict[str, list[Any]] = {}
        for name, rows in found.items():
            for row in rows:
                ticker, columns = json.loads(row)
                if columns["tickers"] != "None":
                    del columns["absent_fields"]
                    told.setdefault(name, []).append([ticker, columns])
        return {name: sorted(rows, key=json.dumps) for name, rows in told.items()}

    mine, theirs = values(contents(Lake(tmp_path / "lake"))), values(loaded)
    assert mine.keys() == theirs.keys()
    for name, rows in theirs.items():
        for row, other in zip(rows, mine[name], strict=True):
            assert other == row


@pytest.mark.slow
def test_cut_off_pages_are_named_and_the_rest_is_imported(
    sandbox: Sandbox, loaded: dict[str, list[str]], tmp_path: Path
) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    bodies = pages(sandbox, 10)
    write_pages(folder, bodies)
    whole = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    cut = list(whole)[::9]
    for path in cut:
        path.write_bytes(whole[path][: len(whole[path]) // 2])
    (folder / "error.json").write_text('{"status":"ERROR","request_id":"1","error":"Too many"}')
    (folder / "v2.json").write_text('{"results":[{"cik":"1","period_end":"2024-01-01"}]}')
    (folder / "notes.txt").write_text("recorded by Ada")
    (folder / "half.jsonl").write_text(json.dumps(sandbox.rows("v1")[0]) + '\n{"cik": "00\n')
    code, report, stderr = run(lake, folder)
    assert (code, stderr) == (3, "")
    told = {(Path(p["file"]).name, p["line"]): p for p in report["failed"]}
    assert {name for name, _ in told} == {
        *(path.name for path in cut),
        "error.json",
        "v2.json",
        "notes.txt",
        "half.jsonl",
    }
    assert "cut off" in told[cut[0].name, None]["reason"]
    assert "Too many" in told["error.json", None]["reason"]
    assert "historical-load --generation v2" in told["v2.json", None]["reason"]
    assert told["v2.json", None]["kind"] == "refused"
    assert told["notes.txt", None]["kind"] == "skipped"
    assert told["half.jsonl", 2]["kind"] == "damaged"
    for path in cut:
        path.write_bytes(whole[path])
    run(lake, folder)
    assert contents(Lake(lake)) == loaded


@pytest.mark.slow
def test_killed_imports_end_as_a_load(
    sandbox: Sandbox, loaded: dict[str, list[str]], tmp_path: Path
) -> None:
    folder, lake = tmp_path / "in", tmp_path / "lake"
    write_pages(folder, pages(sandbox, 10))
    kills = 0
    for pause in (1.2, 1.6, 2.0, 2.4):
        process = subprocess.Popen(
            command(lake, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pause)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
    assert kills
    assert run(lake, folder)[0] == 0
    assert contents(Lake(lake)) == loaded
    assert stray_files(Lake(lake)) == []


def test_of_two_recordings_both_are_versions(sandbox: Sandbox, tmp_path: Path) -> None:
    record = next(r for r in sandbox.rows("v1") if r.get("tickers") and r.get("filing_date"))
    changed = json.loads(json.dumps(record))
    changed["financials"]["balance_sheet"]["assets"]["value"] = 1.0
    for day, row in (("2026-05-01", record), ("2026-06-01", changed)):
        (tmp_path / "in" / day).mkdir(parents=True)
        (tmp_path / "in" / day / "page.json").write_text(json.dumps({"results": [row]}))
    assert run(tmp_path / "lake", tmp_path / "in" / "2026-06-01")[0] == 0
    # The earlier recording comes later, and does not take the present one's place.
    code, report, _ = run(tmp_path / "lake", tmp_path / "in")
    assert (code, report["rows_changed"]) == (0, 0)
    ticker = record["tickers"][0]
    lake = tmp_path / "lake"
    (stored,) = (lake / "bronze/fundamentals/balance_sheets").rglob(f"ticker={ticker}.parquet")
    row = pq.ParquetFile(stored).read().to_pylist()[0]
    assert row["financials"]["balance_sheet"]["assets"]["value"] == 1.0
    assert str(row["observed_at"])[:10] == "2026-06-01"
    (kept,) = (lake / "ops/revisions/v1.balance_sheets").glob("*.parquet")
    (earlier,) = pq.ParquetFile(kept).read().to_pylist()
    assert str(earlier["observed_at"])[:10] == "2026-05-01"
    before = fingerprint(lake)
    run(lake, tmp_path / "in")
    assert fingerprint(lake) == before


def test_the_moment_of_a_recording(sandbox: Sandbox, tmp_path: Path) -> None:
    record = next(r for r in sandbox.rows("v1") if r.get("tickers") and r.get("filing_date"))
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"results": [record]}))
    os.utime(path, (1_780_000_000, 1_780_000_000))
    for words, day in (((), "2026-05-28"), (("--as-recorded", "2026-04-01"), "2026-04-01")):
        lake = tmp_path / f"lake-{day}"
        assert run(lake, path, *words)[0] == 0
        stored = next(lake.rglob("bronze/fundamentals/*/*/*/*.parquet"))
        assert str(pq.ParquetFile(stored).read()["observed_at"][0])[:10] == day


def test_wrong_use_of_an_import(tmp_path: Path) -> None:
    for words, message in (
        ((), "name the files or folders"),
        (("/nonexistent",), "/nonexistent is not there"),
    ):
        code, report, stderr = run(tmp_path / "lake", *words)
        assert (code, report["exit_code"]) == (2, 2)
        assert message in stderr
        assert stderr.count("\n") == 1


@pytest.mark.skipif(not API.is_dir(), reason=f"no recorded answers of v1 at {API}")
def test_recorded_answers_at_hand(tmp_path: Path) -> None:
    code, report, _ = run(tmp_path / "lake", API)
    assert code == 0, report
    assert report["records"] > 5
    assert {p["kind"] for p in report["failed"]} == {"skipped"}
    code, again, _ = run(tmp_path / "lake", API)
    assert (again["rows_new"], again["rows_changed"]) == (0, 0)
