"""The command `status`: the terminal, a page, a watch that Ctrl-C ends, and wrong use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flows.__main__ import main
from flows.commands import status
from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import fill


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("status"))
    lake.prepare()
    with Sandbox(companies=2, seed=3, quirks=False, api_key=KEY) as server:
        fill(lake, server, server.tickers[:1])
    return lake


def test_the_terminal_and_a_page(
    small: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "status.html"
    assert main(["status", "--lake", str(small.root), "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert main(["status", "--lake", str(small.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    for dataset in told["datasets"]:
        name = f"{dataset['generation']} {dataset['statement']}"
        [line] = [x for x in shown.splitlines() if x.split("  ")[0].strip() == name]
        assert f"{dataset['records']:,}" in line
        assert dataset["records"] == dataset["periods"] > 20
        assert f"<td>{name}</td>" in page.read_text()
    assert "http" not in page.read_text()


def test_a_lake_that_cannot_be_written_has_its_status(
    small: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--lake", str(small.root), "--json"]) == 0
    wanted = json.loads(capsys.readouterr().out)["datasets"]
    lake = Lake(tmp_path / "lake")
    shutil.copytree(small.root, lake.root)
    for name in ("locks", "cache"):  # files in the folders' places: nothing can be written there
        shutil.rmtree(lake.ops / name)
        (lake.ops / name).touch()
    assert main(["status", "--lake", str(lake.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"] == wanted


def test_a_watch_refreshes_until_ctrl_c(
    small: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", wait)
    assert main(["status", "--lake", str(small.root), "--watch", "--every", "2"]) == 130
    assert waited == [2.0, 2.0, 2.0]
    assert "v2 cash_flow" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        *("status", "parity", "silver", "checklist", "drill", "sign-off training --by Ann"),
        *("cutover", "cutover --execute", "rollback", "rollback --execute --delayed"),
        *("cleanup", "cleanup --execute", "restore", "restore --execute"),
        *("daily-update", "refresh"),
    ],
)
def test_a_mistyped_lake_is_refused_and_not_made(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    assert main([*command.split(), "--lake", str(tmp_path / "typo")]) == 2
    assert f"there is no lake at {tmp_path / 'typo'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["checklist", "cutover", "rollback", "cleanup", "verify"])
def test_a_folder_without_a_lake_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the mount point of a volume that is not mounted."""
    assert main([command, "--lake", str(tmp_path)]) == 2
    assert f"there is no lake at {tmp_path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--watch", "--json"], "--watch cannot be combined with --json"),
        (["--watch", "--every", "0"], "--every 0.0: input should be greater than 0"),
        (["--targets", "nowhere.toml"], "--targets nowhere.toml is not a file"),
        (["--lake", "/nowhere/at/all"], "there is no lake at /nowhere/at/all"),
    ],
)
def test_wrong_use(
    small: Lake, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--lake", str(small.root), *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err + captured.out
