"""Requests for texts that take long: one that is made again brings the worker no more to read."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from polygon_fundamentals.v1_view import read_texts
from polygon_fundamentals.v1_view.read_texts import TEXTS_A_JOB, ReadTexts
from polygon_fundamentals.v1_view.shelf_file import Record, Text
from polygon_fundamentals.v1_view.state import NotReadyError
from polygon_fundamentals.v1_view.worker import Worker


class SlowWorker(Worker):
    """A worker whose jobs end when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[tuple[Future[Any], list[Any]]] = []

    def answer(self, function: Any, *arguments: Any) -> Future[Any]:
        """Return the future of a job that is not done."""
        future: Future[Any] = Future()
        self.jobs.append((future, arguments[-1]))
        return future

    def end(self, job: int) -> None:
        """End a job: the text of a record is the last of its `ties`."""
        future, wanted = self.jobs[job]
        future.set_result([(ties[-1].encode(), None) for ties, _ in wanted])


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> SlowWorker:
    monkeypatch.setattr(read_texts, "WAIT_SECONDS", 0.01)
    return SlowWorker()


def bare(count: int) -> list[Record]:
    """Return records without their text."""
    day = "2026-06-30"
    return [
        Record("0000000001", "", "", (), (), day, day, "annual", f"{i} FY", "", "v1", None, None)
        for i in range(count)
    ]


def texts(count: int) -> list[Text]:
    return [(f"{i} FY".encode(), None) for i in range(count)]


def test_what_a_request_gave_up_is_not_read_a_second_time(worker: SlowWorker) -> None:
    read = ReadTexts("lake", worker)
    for records in (bare(3), bare(3), bare(2), bare(4)):  # the last asks for one more
        with pytest.raises(NotReadyError):
            read.of(records)
    assert [len(wanted) for _, wanted in worker.jobs] == [3, 1]
    worker.end(0)
    worker.end(1)
    assert read.of(bare(4)) == texts(4)
    assert len(worker.jobs) == 2


def test_what_was_read_before_a_request_gave_up_is_remembered(worker: SlowWorker) -> None:
    read = ReadTexts("lake", worker)
    records = bare(2 * TEXTS_A_JOB)
    with pytest.raises(NotReadyError):
        read.of(records)
    worker.end(0)
    worker.jobs[1][0].set_exception(OSError("no such disk"))
    with pytest.raises(NotReadyError):
        read.of(records)
    assert [wanted for _, wanted in worker.jobs[1:]] == [worker.jobs[1][1]] * 2
    worker.end(2)
    assert read.of(records) == texts(len(records))
