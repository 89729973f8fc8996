"""Pages that were given before are given again, for as long as their records stay as they are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from polygon_fundamentals.lake import Lake
from tests.cutover_world import fill, load_later
from tests.unit.v1_view.conftest import Pair
from tests.v1_server import BEARER, PATH, V1Server, serving_v1

ZIPPED = {**BEARER, "Accept-Encoding": "gzip"}


def raw(server: V1Server, **params: object) -> tuple[bytes, dict[str, str]]:
    """Return a page's bytes as they came, and its headers but for those of the one answer."""
    answer = requests.get(server.url + PATH, dict(params), headers=ZIPPED, stream=True, timeout=60)
    assert answer.status_code == 200
    headers = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")}
    return answer.raw.read(decode_content=False), headers


def test_a_page_is_given_again_as_it_was(pair: Pair) -> None:
    for params in ({"ticker": pair.sandbox.tickers[0]}, {"limit": 7}, {"ticker": "NONE"}):
        first = raw(pair.server, **params)
        assert raw(pair.server, **params) == first
        plain = pair.server.get(headers={**BEARER, "Accept-Encoding": "identity"}, **params)
        zipped = pair.server.get(headers=ZIPPED, **params)
        assert plain.text == zipped.text
        etag = first[1]["etag"]
        known = pair.server.get(headers={**ZIPPED, "If-None-Match": etag}, **params)
        assert (known.status_code, known.content) == (304, b"")


def test_the_next_page_is_given_again_at_the_address_that_was_asked(pair: Pair) -> None:
    page = pair.server.get(headers=ZIPPED, limit=3).json()
    for host in ("one.example", "two.example", "one.example"):
        headers = {**ZIPPED, "Host": host}
        answer = requests.get(page["next_url"], headers=headers, timeout=60).json()
        assert answer["next_url"].startswith(f"http://{host}{PATH}?cursor=")
        assert answer["results"] == pair.server.get(limit=6).json()["results"][3:]


def test_a_page_that_was_given_before_needs_a_key(pair: Pair) -> None:
    assert pair.server.get(headers=ZIPPED, limit=4).status_code == 200
    refused = pair.server.get(headers={"Accept-Encoding": "gzip"}, limit=4)
    assert refused.status_code == 401


@pytest.mark.slow
def test_a_page_changes_with_the_lake(tmp_path: Path) -> None:
    lake = fill(Lake(tmp_path / "lake"))
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        pages = [{"limit": 100}, {"ticker": server.everything(limit=1)[0]["tickers"][0]}]
        before = [raw(server, **params)[0] for params in pages]
        assert [raw(server, **params)[0] for params in pages] == before
        load_later(lake)
        until = time.monotonic() + 60
        while raw(server, **pages[0])[0] == before[0]:
            assert time.monotonic() < until, server.log
            time.sleep(0.2)
        after = [server.get(headers=ZIPPED, **params).json()["results"] for params in pages]
    with serving_v1(lake.root) as server:
        server.wait_until_complete()
        fresh = [server.get(headers=ZIPPED, **params).json()["results"] for params in pages]
    assert after == fresh
