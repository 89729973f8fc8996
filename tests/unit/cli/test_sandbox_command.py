"""`sandbox` as the training has it: the same companies before and after v1's retirement."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).parents[3]
HEADERS = {"Authorization": "Bearer sandbox-key"}


@contextmanager
def sandbox(*words: str) -> Iterator[tuple[str, str]]:
    """Yield the address and the words of `sandbox`, which Ctrl-C ends with 0."""
    command = [sys.executable, "-m", "flows", "sandbox", "--companies", "3", "--port", "0", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C ends it" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address is not None
        try:
            yield address[0], said
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_retired_v1_answers_410_and_v2_is_the_same() -> None:
    rows = []
    for words, status, generation in (((), 200, "both"), (("--v1-retired",), 410, "v2")):
        with sandbox(*words) as (url, said):
            assert f"historical-load --generation {generation} --universe all" in said
            v1 = requests.get(f"{url}/vX/reference/financials", headers=HEADERS, timeout=30)
            assert v1.status_code == status
            path = "stocks/financials/v1/balance-sheets"
            rows.append(
                requests.get(f"{url}/{path}", headers=HEADERS, timeout=30).json()["results"]
            )
    assert rows[0] == rows[1] != []
