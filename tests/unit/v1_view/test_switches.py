"""Readers of `serve-v1` notice neither switches nor loads nor builds: no failure, no mixture."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from polygon_fundamentals import silver
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.context import BuiltSilver, Options
from polygon_fundamentals.cutover.operations import cutover, rollback
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.locks import shared
from sandbox import Sandbox
from tests.conftest import KEY
from tests.cutover_world import context
from tests.filled import fill
from tests.v1_server import BEARER, PATH, V1Server, serving_v1

SWITCHES = 30
CLIENTS = 8
PATIENT = Options(force="test", wait_seconds=300.0, settle_seconds=0.0)
Groups = dict[str, list[Any]]


def by_company(records: list[dict[str, Any]]) -> Groups:
    groups: Groups = {}
    for record in records:
        groups.setdefault(record.get("cik") or str(record.get("tickers")), []).append(record)
    return groups


def ask(url: str, terms: Mapping[str, str], session: requests.Session) -> Groups:
    answer = session.get(url + PATH, params=dict(terms), headers=BEARER, timeout=60)
    page = answer.json()
    assert answer.status_code == 200, f"{answer.status_code} {page}"
    return by_company(page["results"])


def queries(tickers: list[str]) -> list[dict[str, str]]:
    """Queries of which one page holds all; of the whole market, so that a company is whole."""
    market = {"timeframe": "quarterly", "limit": "100"}
    return [
        *({"ticker": ticker, "limit": "100"} for ticker in tickers),
        {**market, "period_of_report_date.gte": "2026-01-01"},
        {**market, "period_of_report_date.lt": "2025-07-01", "sort": "filing_date"},
    ]


class Clients:
    """Eight clients that never rest; `answers`: number of the query → distinct answers."""

    def __init__(self, server: V1Server, asked: list[dict[str, str]]) -> None:
        self.server, self.asked = server, asked
        self.answers: dict[int, list[Groups]] = {i: [] for i in range(len(asked))}
        self.failed: list[str] = []
        self.count = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        session = requests.Session()
        while not self._stop.is_set():
            number = (number + 1) % len(self.asked)
            try:
                answer = ask(self.server.url, self.asked[number], session)
            except (requests.RequestException, AssertionError) as error:
                self.failed.append(f"{self.asked[number]}: {error}")
                continue
            with self._lock:
                self.count += 1
                if answer not in self.answers[number]:
                    self.answers[number].append(answer)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def switch_and_load(lake: Lake, sandbox: Sandbox, load: Callable[[Sandbox], None]) -> None:
    """Switch away and back thirty times, with two loads and a build between and beside."""
    with ThreadPoolExecutor(2) as pool:
        beside: list[Future[Any]] = []
        for switch in range(SWITCHES):
            if switch in (5, 20):
                sandbox.advance(60)
                beside.append(pool.submit(load, sandbox))
            if switch == 12:
                beside.append(pool.submit(silver.build, lake))
            there = context(lake, checks=(), silver=BuiltSilver())
            away = cutover(lake, Checklist, there, PATIENT)
            assert away.exit_code == 0, away
            back = rollback(lake, there, PATIENT, [], date(2026, 11, 1), accept_stale=True)
            assert back.exit_code == 0, back
            if switch in (8, 25):
                for future in beside:
                    future.result()
        for future in beside:
            future.result()


@pytest.mark.slow
def test_switches_loads_and_a_build_under_eight_clients(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    copies: list[Path] = []

    def load(sandbox: Sandbox) -> None:
        with shared(lake.lock("writers"), 300.0, "a switch"):
            fill(lake, sandbox, sandbox.tickers)
            copies.append(tmp_path / f"copy-{len(copies)}")
            shutil.copytree(lake.root, copies[-1], symlinks=True)

    with Sandbox(
        companies=4, start=date(2025, 1, 1), today=date(2026, 3, 1), api_key=KEY
    ) as sandbox:
        load(sandbox)
        asked = queries(sandbox.tickers)
        with serving_v1(lake.root) as server:
            server.wait_until_complete()
            clients = Clients(server, asked)
            try:
                switch_and_load(lake, sandbox, load)
                time.sleep(15)  # the last load is served by now
            finally:
                clients.stop()
        assert clients.failed == [], server.log[-4_000:]
        assert len(copies) == 3
    states: list[list[Groups]] = []
    for copy in copies:
        with serving_v1(copy) as server:
            server.wait_until_complete()
            session = requests.Session()
            states.append([ask(server.url, terms, session) for terms in asked])
    assert sum(one != other for one, other in zip(states[0], states[2], strict=True)) > 2
    for number, answers in clients.answers.items():
        known = [state[number] for state in states]
        # The states follow one another, and the last is reached.
        assert answers[0] == known[0]
        assert answers[-1] == known[2]
        for entries in answers:
            for company, records in entries.items():
                assert any(records == state.get(company) for state in known), asked[number]
    print(f"{clients.count:,} answers, {sum(map(len, clients.answers.values()))} different ones")
