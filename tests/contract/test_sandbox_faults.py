"""Every kind of fault looks on the wire as it does in life, and comes at its rate."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
import requests

from sandbox import Faults, Sandbox

INCOME = "/stocks/financials/v1/income-statements"
HEADERS = {"Authorization": "Bearer sandbox-key"}


def _small(faults: Faults, **options: Any) -> Sandbox:
    return Sandbox(companies=4, start=date(2025, 1, 1), quirks=False, faults=faults, **options)


def _get(sandbox: Sandbox, **params: str) -> requests.Response:
    return requests.get(sandbox.url + INCOME, params, headers=HEADERS, timeout=10)


@pytest.mark.parametrize(
    ("word", "status", "retry_after"),
    [("429", 429, False), ("retry_after", 429, True), ("500", 500, False), ("503", 503, False)],
)
def test_error_answers(word: str, status: int, retry_after: bool) -> None:
    with _small(Faults.parse(f"{word}=1")) as sandbox:
        answer = _get(sandbox)
        assert answer.status_code == status
        assert answer.json()["status"] == "ERROR"
        assert ("Retry-After" in answer.headers) == retry_after
        if retry_after:
            assert answer.headers["Retry-After"] in ("0", "1")
        assert sandbox.requests[0].status == status


def test_a_reset_connection() -> None:
    with _small(Faults(reset=1.0)) as sandbox:
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            _get(sandbox)
        assert [(r.status, r.fault) for r in sandbox.requests] == [(0, "reset")]


def test_a_truncated_body() -> None:
    with (
        _small(Faults(truncate=1.0)) as sandbox,
        pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"),
    ):
        _get(sandbox)


def test_html_with_status_200() -> None:
    with _small(Faults(html=1.0)) as sandbox:
        answer = _get(sandbox)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        with pytest.raises(requests.exceptions.JSONDecodeError):
            answer.json()


def test_a_slow_answer() -> None:
    with _small(Faults(slow=1.0, slow_seconds=0.3)) as sandbox:
        begin = time.monotonic()
        assert _get(sandbox).status_code == 200
        assert time.monotonic() - begin >= 0.3


def test_latency_is_added_to_each_answer() -> None:
    with _small(Faults(), latency=0.05) as sandbox:
        begin = time.monotonic()
        for _ in range(4):
            _get(sandbox)
        assert time.monotonic() - begin >= 0.2


def test_a_repeated_row() -> None:
    with _small(Faults(dup=1.0)) as sandbox:
        rows = _get(sandbox, limit="1000").json()["results"]
        held = sandbox.rows("v2", "income_statements")
        assert len(rows) == len(held) + 1
        assert all(row in held for row in rows)
        seen = Counter(str(row) for row in rows)
        assert sorted(seen.values())[-2:] == [1, 2]


def test_a_next_url_on_a_foreign_host() -> None:
    with _small(Faults(foreign_next=1.0)) as sandbox:
        body = _get(sandbox, limit="2").json()
        assert body["next_url"].startswith(f"http://evil.example{INCOME}?cursor=")


@pytest.mark.slow
def test_faults_come_at_their_rates_in_the_same_order() -> None:
    faults = Faults.parse("429=.05,500=.05,reset=.03,truncate=.03,html=.02,dup=.05")

    def met() -> list[str]:
        with _small(faults) as sandbox:
            for _ in range(200):
                try:
                    _get(sandbox)
                except requests.RequestException:
                    continue
            return [request.fault for request in sandbox.requests]

    first = met()
    share = Counter(first)
    assert set(share) == {"", "too_many", "server_error", "reset", "truncate", "html", "dup"}
    assert 0.68 < share[""] / 200 < 0.86
    assert met() == first


def test_a_retried_request_gets_a_fresh_draw() -> None:
    with _small(Faults(server_error=0.5)) as sandbox:
        statuses = [_get(sandbox).status_code for _ in range(30)]
        assert set(statuses) == {200, 500}


def test_fifty_connections_at_once() -> None:
    with _small(Faults(), latency=0.05) as sandbox:
        sandbox.warm()
        begin = time.monotonic()
        with ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda _: _get(sandbox).status_code, range(240)))
        assert answers == [200] * 240
        # One after the other they would take 12 s of latency alone.
        assert time.monotonic() - begin < 6
        assert sandbox.request_count == 240


def test_a_connection_stays_open_between_requests() -> None:
    with _small(Faults()) as sandbox, requests.Session() as session:
        session.headers.update(HEADERS)
        for _ in range(20):
            assert session.get(sandbox.url + INCOME, timeout=10).status_code == 200
        pool = session.get_adapter(sandbox.url).poolmanager.pools  # type: ignore[attr-defined]
        connections = [pool[key].num_connections for key in pool.keys()]  # noqa: SIM118
        assert connections == [1]


def test_stopping_ends_idle_connections() -> None:
    sandbox = _small(Faults()).start()
    url = sandbox.url
    with requests.Session() as session:
        session.get(url + INCOME, headers=HEADERS, timeout=10)
        sandbox.stop()
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(url + INCOME, headers=HEADERS, timeout=10)
