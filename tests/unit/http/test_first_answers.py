"""A run's first answers arrive in several threads at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROCESSES = 10
# The first use of a type is over after a moment: threads change as often as can be.
FIRST_USE = """
import sys, threading
from polygon_fundamentals.http.answers import read_page
from polygon_fundamentals.normalise.exact import parse_rows

sys.setswitchinterval(1e-6)
body = b'{"results":[{"cik":"1","tickers":["A"],"filing_date":null}],"count":1}'
for use in (lambda: read_page(200, {}, body, "x").row_ids, lambda: parse_rows(body)):
    together, found = threading.Barrier(32), []

    def first():
        together.wait()
        found.append(use())

    threads = [threading.Thread(target=first) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[{"cik": "1", "tickers": ["A"], "filing_date": None}]] * 32, found
"""


@pytest.mark.slow
def test_many_threads_may_read_the_first_answer_of_a_process() -> None:
    """msgspec 0.22.0 crashes a third of these processes if its types are made at first use."""
    ends = []
    for _ in range(PROCESSES):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=False
        )
        ends.append((done.returncode, done.stderr))
    assert ends == [(0, "")] * PROCESSES
