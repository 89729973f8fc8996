"""Recordings of v1's answers, and `import-v1` over them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from sandbox import Sandbox
from tests.builders.commands import call_with_errors
from tests.conftest import KEY


def pages(sandbox: Sandbox, limit: int) -> list[bytes]:
    """Return the bodies of all pages of v1."""
    listed = []
    url: str | None = f"{sandbox.url}/vX/reference/financials?limit={limit}&sort=filing_date"
    while url:
        answer = requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
        listed.append(answer.content)
        following = answer.json().get("next_url")
        url = following and sandbox.url + following[following.index("/vX/") :]
    return listed


def run(lake: Path, *words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Run `import-v1` in this process; return its exit code, JSON and standard error."""
    return call_with_errors("import-v1", "--lake", str(lake), *map(str, words))


def run_apart(lake: Path, *words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Run `import-v1` as a user does, in a process of its own; return the same."""
    done = subprocess.run(command(lake, *words), capture_output=True, text=True, timeout=900)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def command(lake: Path, *words: str | Path) -> list[str]:
    start = [sys.executable, "-m", "flows", "import-v1", "--json", "--lake", str(lake)]
    return [*start, *map(str, words)]


def write_singer(folder: Path, records: list[dict[str, Any]]) -> None:
    folder.mkdir()
    stream = {"stream": "stock_financials_deprecated"}
    lines = [{"type": "SCHEMA", **stream, "schema": {}, "key_properties": ["cik"]}]
    lines += [
        {"type": "RECORD", **stream, "record": r, "time_extracted": "2026-09-30T12:00:00Z"}
        for r in records
    ]
    lines.append({"type": "STATE", "value": {}})
    (folder / "singer").write_text("".join(json.dumps(line) + "\n" for line in lines))
