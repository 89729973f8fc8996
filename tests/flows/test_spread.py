"""`parity` and `silver` in several processes and on Dask: what one process makes, byte for byte."""

from __future__ import annotations

import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable
from datetime import date
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest
from prefect.settings import get_current_settings

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity import plan
from polygon_fundamentals.silver import parts
from polygon_fundamentals.statements import Generation, Statement
from tests.builders.commands import call, call_with_errors
from tests.filled import change_rows, filled, set_column

pytestmark = pytest.mark.slow
DAY = ("--date", "2026-05-06")
SAID = (
    "passed", "compared", "matched", "differences", "counted_apart", "missing_tickers",
    "missing_periods", "extra_periods", "tickers_compared", "tickers_total", "rules_broken",
)  # fmt: skip
RUNNERS = (
    "processes",
    pytest.param(
        "dask",
        marks=pytest.mark.skipif(
            find_spec("prefect_dask") is None,
            reason="prefect-dask is not installed (make setup EXTRAS=test,dask)",
        ),
    ),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of four companies, of which silver follows v2."""
    root = tmp_path_factory.mktemp("source") / "lake"
    lake = filled(root, companies=4, seed=7, start=date(2024, 1, 1))
    field = "net_cash_from_investing_activities_continuing_operations"
    wrong = set_column(field, lambda t: [v and v * 1.7 for v in t[field].to_pylist()])
    assert change_rows(lake, Generation.V2, Statement.CASH_FLOW, wrong) == 0
    lake.pointer.rename(lake.bronze / "fundamentals_v1_archive")  # as a cutover leaves it
    lake.pointer.symlink_to("fundamentals_v2")
    return lake


@pytest.fixture
def copy(source: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Lake]:
    """What copies the lake; batches and parts have a company or two."""
    monkeypatch.setattr(plan, "BATCH_TICKERS", 2)
    monkeypatch.setattr(parts, "PART_TICKERS", 2)
    # Dask's workers find the server of the tests as they find any other.
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))

    def made(name: str) -> Lake:
        shutil.copytree(source.root, tmp_path / name, symlinks=True)
        return Lake(tmp_path / name)

    return made


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """Return each file's content."""
    return {
        str(path.relative_to(folder)): blake2b(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    }


def compared(lake: Lake, *words: str) -> dict[str, object]:
    """Return what a comparison says and leaves; where it left it aside."""
    code, answer = call("parity", *DAY, "--lake", str(lake.root), *words)
    assert (code, bool(answer["differences"])) == (1, True)
    report = Path(str(answer["report"])).parent
    said = {name: answer[name] for name in SAID}
    files = digests(report, "*.parquet", "*.csv")
    cache = digests(lake.ops / "cache" / "parity", "*/*.parquet")
    assert len(files) >= 4, files
    assert len(cache) == 27
    assert not (lake.ops / "cache" / "parity-work").exists() or not any(
        (lake.ops / "cache" / "parity-work").iterdir()
    )
    return {"said": said, "files": files, "cache": cache}


@pytest.mark.parametrize("runner", RUNNERS)
def test_parity_says_the_same(copy: Callable[[str], Lake], runner: str) -> None:
    alone, spread = copy("alone"), copy("spread")
    expected = compared(alone)
    assert compared(spread, "--task-runner", runner) == expected
    # Once more: all of it stands in the cache, whoever compares.
    assert compared(spread) == compared(alone, "--task-runner", runner)


def built(lake: Lake, *words: str) -> dict[str, str]:
    """Return the files of the tables that a build leads to, and of a past day."""
    for day in ([], ["--as-of", "2025-06-30"]):
        code, answer = call("silver", "--lake", str(lake.root), *day, *words)
        assert (code, answer["rows"] > 0) == (0, True)
    assert not (lake.ops / "cache" / "silver-work").exists()
    return digests(
        lake.silver,
        "fundamentals_wide/year=*/*.parquet",
        "fundamentals_history/initial=*/*.parquet",
        "as_of/*/year=*/*.parquet",
    )


@pytest.mark.parametrize("runner", RUNNERS)
def test_silver_is_the_same(copy: Callable[[str], Lake], runner: str) -> None:
    expected = built(copy("alone"))
    assert len(expected) > 8
    assert built(copy("spread"), "--task-runner", runner) == expected


def test_a_process_that_dies_is_named_and_the_next_run_goes_on(copy: Callable[[str], Lake]) -> None:
    alone, mine = copy("alone"), copy("mine")
    works = mine.ops / "cache" / "parity-work"

    def kill() -> None:
        until = time.monotonic() + 120
        while not any(works.glob("*/*/batch-*")) and time.monotonic() < until:
            time.sleep(0.001)
        for child in multiprocessing.active_children():
            child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    where = ("--lake", str(mine.root))
    code, answer, errors = call_with_errors("parity", *DAY, *where, "--task-runner", "processes")
    killer.join()
    assert code == 4, errors
    assert "a process died" in answer["error"]
    assert "\n" not in answer["error"]
    assert "Traceback" not in errors
    known = [
        orjson.loads(path.read_bytes())["keys"]
        for path in (mine.ops / "cache" / "parity").glob("*/known.json")
    ]
    assert sum(map(len, known)) >= 1, "what was compared is kept"
    again = compared(mine, "--task-runner", "processes")
    assert again["said"] == compared(alone)["said"]


def test_a_damaged_file_is_named_and_the_others_are_compared(copy: Callable[[str], Lake]) -> None:
    mine = copy("mine")
    path = next(mine.dataset(Generation.V2, Statement.CASH_FLOW).folder.rglob("ticker=*.parquet"))
    sound = path.read_bytes()
    path.write_bytes(b"PAR1")
    where = ("--lake", str(mine.root), "--task-runner", "processes")
    code, answer, errors = call_with_errors("parity", *DAY, *where)
    assert (code, path.name in answer["error"]) == (4, True), errors
    path.write_bytes(sound)
    assert compared(mine, "--task-runner", "processes")["said"] == compared(copy("alone"))["said"]


def test_an_address_without_dask_is_refused(lake: Lake) -> None:
    code, answer = call("parity", "--dask-address", "tcp://here:8786", "--lake", str(lake.root))
    assert (code, answer["error"]) == (2, "--dask-address requires --task-runner dask")


def test_dask_without_a_server_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for command in "parity", "silver":
        code, answer = call(command, "--task-runner", "dask", "--lake", str(lake.root))
        assert code == 2
        assert answer["error"].startswith("--task-runner dask needs a Prefect server")
