"""What became of tickers that v2 lacks: asked once, kept, and not needed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.http.answers import Page
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.tickers import known_tickers, reference_file
from polygon_fundamentals.settings import Settings
from tests.conftest import KEY
from tests.servers import Answer, Asked, results, serving

TODAY = date(2026, 7, 1)
LISTED = {
    ("HERE", "true"): {"ticker": "HERE", "cik": "0000000001"},
    ("GONE", "false"): {"ticker": "GONE", "cik": "0000000002"},
    ("0000000003", "false"): {"ticker": "OLD", "cik": "0000000003", "type": "CS"},
    ("0000000003", "true"): {"ticker": "NEW", "cik": "0000000003", "type": "CS"},
    # A company that was taken over, one of whose bonds is listed still.
    ("0000000004", "false"): {"ticker": "SOLD", "cik": "0000000004", "type": "CS"},
    ("0000000004", "true"): {"ticker": "SOLDZ", "cik": "0000000004", "type": "SP"},
}


def script(asked: Asked) -> Answer:
    if asked.query["limit"] == "1":  # whether the market has active stocks at all
        return results([{"ticker": "ANY"}])
    row = LISTED.get((asked.query.get("ticker") or asked.query["cik"], asked.query["active"]))
    return results([row] if row else [])


def client(url: str) -> Client:
    quick = Settings(base_url=url, attempts=1, first_wait=0.001, longest_wait=0.01)
    return Client(quick, KEY)


def test_each_ticker_is_asked_for_once_a_month(lake: Lake) -> None:
    with serving(script) as server:
        for day in (TODAY, TODAY + timedelta(days=29)):
            known = known_tickers(lake, ["HERE", "GONE", "NEVER"], lambda: client(server.url), day)
            assert known.tickers == {
                "HERE": {"active": True, "cik": "0000000001"},
                "GONE": {"active": False, "cik": "0000000002"},
            }
            assert known.note is None
        # NEVER, which is not listed, and GONE, which was inactive for the first time, again.
        assert len(server.asked) == (1 + 5) + (1 + 4)
        later = TODAY + timedelta(days=30)
        known_tickers(lake, ["HERE", "GONE"], lambda: client(server.url), later)
        assert len(server.asked) == 11 + 2
    assert json.loads(reference_file(lake).read_bytes())["GONE"]["asked"] == "2026-07-30"


def test_a_company_is_asked_for_under_whichever_symbol(lake: Lake) -> None:
    names = ["GONE", "CIK0000000003", "CIK0000000004", "CIK0000000005"]
    with serving(script) as server:
        known = known_tickers(lake, names, lambda: client(server.url), TODAY)
        assert {name: entry["active"] for name, entry in known.tickers.items()} == {
            "GONE": False,
            "CIK0000000003": True,
            "CIK0000000004": False,
            "CIK0000000005": None,  # asked about, and listed nowhere
        }
        assert {a.query["market"] for a in server.asked if "cik" in a.query} == {"stocks"}
    known = known_tickers(lake, [*names, "NEVER", "CIK0000000006"], None, TODAY)
    assert "CIK0000000006" not in known.tickers  # nobody asked
    note = known.note
    assert note == "1 ticker and 1 company that v2 lacks left open (offline)"


def test_empty_answers_of_one_night_forget_nothing_and_are_asked_again_the_next_day(
    lake: Lake,
) -> None:
    def ask(server_script: Callable[[Asked], Answer], days: int) -> tuple[set[str], int]:
        with serving(server_script) as server:
            day = TODAY + timedelta(days=days)
            known = known_tickers(lake, ["GONE", "HERE"], lambda: client(server.url), day)
            return set(known.tickers), len(server.asked)

    def none(asked: Asked) -> Answer:
        return script(asked) if asked.query["limit"] == "1" else results([])

    assert ask(none, 0) == (set(), 5)
    assert ask(script, 0) == (set(), 0)
    assert ask(script, 1) == ({"GONE", "HERE"}, 4)
    assert ask(none, 31) == ({"GONE", "HERE"}, 5)
    assert ask(script, 31) == ({"GONE", "HERE"}, 0)
    assert ask(script, 32) == ({"GONE", "HERE"}, 4)
    assert ask(script, 61) == ({"GONE", "HERE"}, 0)


@pytest.mark.parametrize("count", [0, 100])
def test_a_night_without_active_stocks_makes_no_company_inactive(lake: Lake, count: int) -> None:
    """Its former symbol is inactive, and the company was taken for delisted for a month."""

    def half(asked: Asked) -> Answer:
        return results([]) if asked.query["active"] == "true" else listing(asked)

    names = ["GONE", "CIK0000000003", *(f"N{number:03}" for number in range(count))]
    with serving(half) as server:
        known = known_tickers(lake, names, lambda: client(server.url), TODAY)
    assert known.tickers == {}
    assert "could not be looked up: /v3/reference/tickers lists no active stock" in str(known.note)
    with serving(listing) as server:
        known = known_tickers(lake, names, lambda: client(server.url), TODAY)
    assert {name: entry["active"] for name, entry in known.tickers.items()} == {
        "GONE": False,
        "CIK0000000003": True,
    }


def test_what_is_inactive_for_the_first_time_is_asked_about_again_the_next_day(lake: Lake) -> None:
    def lacking(asked: Asked) -> Answer:
        nothing = "cik" in asked.query and asked.query["active"] == "true"
        return results([]) if nothing else script(asked)

    def ask(server_script: Callable[[Asked], Answer], days: int) -> tuple[bool | None, int]:
        with serving(server_script) as server:
            day = TODAY + timedelta(days=days)
            known = known_tickers(lake, ["CIK0000000003"], lambda: client(server.url), day)
            return known.tickers["CIK0000000003"]["active"], len(server.asked)

    assert ask(lacking, 0) == (False, 3)
    assert ask(script, 0) == (False, 0)
    assert ask(script, 1) == (True, 2)
    assert ask(lacking, 31) == (False, 3)
    assert ask(lacking, 32) == (False, 3)
    assert ask(lacking, 61) == (False, 0)


def test_what_an_earlier_version_forgot_is_asked_for_again(lake: Lake) -> None:
    reference_file(lake).parent.mkdir(parents=True)
    entry = {"active": None, "cik": None, "asked": "2026-06-30"}
    reference_file(lake).write_text(json.dumps({"GONE": entry}))
    with serving(script) as server:
        known = known_tickers(lake, ["GONE"], lambda: client(server.url), TODAY)
    assert known.tickers["GONE"]["active"] is False


def test_without_network_what_is_known_stays(lake: Lake) -> None:
    with serving(script) as server:
        known_tickers(lake, ["GONE"], lambda: client(server.url), TODAY)
    later = TODAY + timedelta(days=400)
    known = known_tickers(lake, ["GONE", "HERE"], lambda: client("http://127.0.0.1:9"), later)
    assert known.tickers == {"GONE": {"active": False, "cik": "0000000002"}}
    assert known.note is not None
    assert "2 tickers that v2 lacks could not be looked up" in known.note


def test_without_a_key_nothing_is_asked(lake: Lake) -> None:
    def refuses() -> Client:
        raise UsageError("no API key")

    known = known_tickers(lake, ["GONE"], refuses, TODAY)
    assert known.tickers == {}
    assert "no API key" in str(known.note)
    assert "offline" in str(known_tickers(lake, ["GONE"], None, TODAY).note)


def test_a_damaged_file_of_answers_is_written_anew(lake: Lake) -> None:
    reference_file(lake).parent.mkdir(parents=True)
    reference_file(lake).write_bytes(b"{")
    with serving(script) as server:
        known = known_tickers(lake, ["GONE"], lambda: client(server.url), TODAY)
    assert known.tickers["GONE"]["active"] is False


def test_nothing_to_ask_for_needs_no_client(lake: Lake) -> None:
    known = known_tickers(lake, [], None, TODAY)
    assert (known.tickers, known.note) == ({}, None)
    assert not reference_file(lake).exists()


def listing(asked: Asked) -> Answer:
    """Answer as the whole list, in pages of two rows; or other questions, as `script` does."""
    if {"ticker", "cik"} & asked.query.keys() or asked.query.get("limit") == "1":
        return script(asked)
    active = asked.query["active"]
    rows = [{"market": "stocks", **row} for (_, listed), row in LISTED.items() if listed == active]
    rows.append({"ticker": "OTC", "cik": "0000000006", "type": "CS", "market": "otc"})
    at = int(asked.query.get("cursor", "0"))
    more = f"{asked.path}?active={active}&cursor={at + 2}" if at + 2 < len(rows) else None
    return results(rows[at : at + 2], **({"next_url": more} if more else {}))


def test_many_names_are_looked_up_in_the_whole_list(lake: Lake, tmp_path: Path) -> None:
    """One by one, a market with 3,000 delisted companies took 12,000 requests."""
    some = ["HERE", "GONE", *(f"CIK000000000{n}" for n in range(3, 7))]
    many = [*some, *(f"N{number:03}" for number in range(100))]
    answers, requests = [], []
    for place, names in ((lake, many), (Lake(tmp_path / "other"), some)):
        with serving(listing) as server:
            answers.append(known_tickers(place, names, lambda: client(server.url), TODAY))
            requests.append(len(server.asked))
    assert answers[0] == answers[1]
    assert answers[0].tickers["CIK0000000003"] == {"active": True, "cik": "0000000003"}
    assert requests[0] == 1 + 4
    # Each is asked for again in its time, the unlisted ones on the next day.
    with serving(listing) as server:
        known_tickers(lake, many, lambda: client(server.url), TODAY)
        assert server.asked == []


@pytest.mark.parametrize("count", [0, 100])
def test_what_was_asked_before_a_run_was_stopped_is_kept(lake: Lake, count: int) -> None:
    names = ["GONE", "HERE", *(f"N{number:03}" for number in range(count))]
    with serving(listing) as server:
        api = client(server.url)
        pages, asked = api.pages, itertools.count(1)

        def stopped(path: str, params: Any) -> Iterator[Page]:
            if next(asked) > 3:
                raise KeyboardInterrupt
            for page in pages(path, params):
                yield page
                if params["active"] == "false" and "ticker" not in params:
                    raise KeyboardInterrupt  # in the middle of the list

        api.pages = stopped  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            known_tickers(lake, names, lambda: api, TODAY)
    entries = json.loads(reference_file(lake).read_bytes())
    assert entries.keys() == ({"HERE", "GONE"} if count else {"GONE"})
