"""The page for old readers: its commands and programs do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.conftest import KEY
from tests.v1_server import serving_v1

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "old-readers.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (run|serve) -->\n```(\w+)\n(.*?)```", re.DOTALL)


@pytest.mark.slow
def test_the_page_can_be_copied_and_pasted(tmp_path: Path) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    with Sandbox(companies=3, start=date(2025, 1, 1), api_key=KEY) as sandbox:
        page = {"status": "OK", "results": sandbox.rows("v1")}
    (recordings / "page.json").write_text(json.dumps(page))
    blocks = BLOCK.findall(PAGE)
    assert [what for what, _, _ in blocks] == ["run", "serve", "run", "run"]
    (_, _, load), (_, _, serve), (_, _, client), (_, _, curl) = blocks
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLYGON_API_KEY": ""}

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    python = f"{sys.executable} -m flows"
    imported = run("bash", "-c", load.replace("polygon-fundamentals", python))
    assert f"rows new, 0 changed, 0 unchanged; lake: {tmp_path / 'lake'}\n" in imported
    assert f"historical-load --generation v2 --lake {tmp_path / 'lake'}, then silver" in imported
    assert "### After the import" in PAGE
    assert Lake(tmp_path / "lake").bronze.is_dir()
    # As written but for the port, which may be in use.
    assert serve.strip() == "polygon-fundamentals serve-v1 --lake lake --port 8080"
    with serving_v1(tmp_path / "lake", POLYGON_API_KEY="") as server:
        server.wait_until_complete()
        url = "http://127.0.0.1:8080"
        printed = run(sys.executable, "-c", client.replace(url, server.url))
        assert re.fullmatch(r"(\d{4}-\d\d-\d\d [\d.e+]+\n)+", printed)
        answer = json.loads(run("bash", "-c", curl.replace(url, server.url)))
        assert answer["count"] == 1
        assert answer["results"][0]["generation"] == "v1"


def test_the_unit_names_real_options() -> None:
    """The image's own command is run by tests/server/test_image.py."""
    [start] = re.findall(r"ExecStart=(.*)", PAGE)
    words = start.split()
    words = words[words.index("serve-v1") + 1 :]
    options = {word for word in words if word.startswith("--")}
    assert options == {"--lake", "--host", "--port"}
    given = [*words]
    given[given.index("--lake") + 1] = str(ROOT / "nowhere")
    done = subprocess.run(
        [sys.executable, "-m", "flows", "serve-v1", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "there is no lake" in done.stderr) == (2, True)
