"""serve-v1 goes on following the lake after an error that nobody foresaw."""

from __future__ import annotations

import logging
import time

import pytest
from starlette.testclient import TestClient

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.v1_view import upkeep
from polygon_fundamentals.v1_view.index import Index
from polygon_fundamentals.v1_view.serve import make_app
from polygon_fundamentals.v1_view.upkeep import Upkeep
from polygon_fundamentals.v1_view.view import View
from tests.cutover_world import fill, load_later

SECONDS = 60.0


def test_a_failure_that_lasts_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = Upkeep()
    looks.failed(OSError("no such disk"))
    assert looks.is_well
    assert caplog.messages == ["the lake is read again in a moment: no such disk"]
    assert caplog.records[0].exc_info is None
    monkeypatch.setattr(upkeep, "FAILING_SECONDS", -1.0)
    assert not looks.is_well
    looks.succeeded()
    assert looks.is_well


@pytest.mark.slow
def test_an_error_that_nobody_foresaw_does_not_end_the_upkeep(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index = Index(View(str(fill(lake).root), None, False, False))
    caplog.set_level(logging.WARNING)
    index.start()
    try:
        assert index.wait_until_complete(SECONDS)
        before = index.number("AAA", None)
        health = TestClient(make_app(index, ())).get  # type: ignore[arg-type]
        with monkeypatch.context() as broken:
            broken.setattr(upkeep, "FAILING_SECONDS", 0.0)

            def out_of_memory(*_: object) -> None:
                raise MemoryError("in a job")

            broken.setattr(index._worker, "submit", out_of_memory)
            load_later(lake)
            until = time.monotonic() + SECONDS
            while health("/health").status_code != 503:
                assert time.monotonic() < until
                time.sleep(0.1)
            assert health("/health").json()["status"] == "ERROR"
            assert any("in a job" in text for text in caplog.messages)
        until = time.monotonic() + SECONDS
        while index.number("AAA", None) == before:
            assert time.monotonic() < until, "the new records are not served"
            time.sleep(0.1)
        assert health("/health").json()["status"] == "OK"
    finally:
        index.stop()
