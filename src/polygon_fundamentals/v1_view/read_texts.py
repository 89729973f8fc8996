"""The texts of records, of which those on bare shelves are read by the worker, and remembered."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.v1_view import jobs
from polygon_fundamentals.v1_view.shelf_file import Record, Text
from polygon_fundamentals.v1_view.state import MovedError, NotReadyError
from polygon_fundamentals.v1_view.worker import Worker

# Within the time that the vendor's client waits for an answer.
WAIT_SECONDS = 8.0
# Records whose texts are read by one job, between which other requests have their turn.
TEXTS_A_JOB = 25
_CACHED_TEXTS = 5_000

log = logging.getLogger("polygon_fundamentals.serve_v1")

Key = tuple[tuple[str, ...], bytes]  # `ties` and `rows` of a record
Reading = Future[list[Text | None]]


class ReadTexts:
    """Reads the texts of records, and remembers those that were read last."""

    def __init__(self, root: str, worker: Worker) -> None:
        self._root = root
        self._worker = worker
        self._texts: dict[Key, Text] = {}
        # Record → the job that reads its text, and the text's place among those of the job.
        self._reading: dict[Key, tuple[Reading, int]] = {}

    def of(self, records: Sequence[Record]) -> list[Text]:
        """Return `body` and `sourced` of some records.

        Raises:
            MovedError: a file is not where it was: ask for the records again.
            NotReadyError: they cannot be read now.
        """
        until = time.monotonic() + WAIT_SECONDS
        cached: list[Text | None] = [
            self._texts.get((r.ties, r.rows)) if r.body is None else (r.body, r.sourced)
            for r in records
        ]
        missing = [i for i, text in enumerate(cached) if text is None]
        try:
            jobs_of = self._read([(records[i].ties, records[i].rows) for i in missing])
            for i, (job, place) in zip(missing, jobs_of, strict=True):
                cached[i] = job.result(max(0.0, until - time.monotonic()))[place]
                if cached[i] is None:
                    raise MovedError
        except (FundamentalsError, OSError, BrokenProcessPool, TimeoutError) as error:
            log.warning("records are not read yet: %s", str(error) or type(error).__name__)
            raise NotReadyError("the records are not read from the lake yet") from error
        return [text for text in cached if text is not None]

    def _read(self, wanted: Sequence[Key]) -> list[tuple[Reading, int]]:
        """Have the texts of some records read; return which job reads each.

        What a request before this one waits for, or gave up, is not read a second time: where the
        machine is slow, requests that are made again would bring more work than is done meanwhile.
        """
        jobs_of = {key: known for key in wanted if (known := self._reading.get(key))}
        new = [key for key in wanted if key not in jobs_of]
        for i in range(0, len(new), TEXTS_A_JOB):
            some = new[i : i + TEXTS_A_JOB]
            job: Reading = self._worker.answer(jobs.run, "texts.texts_of", self._root, some)
            mine = {key: (job, place) for place, key in enumerate(some)}
            jobs_of |= mine
            self._reading |= mine
            job.add_done_callback(partial(self._remember, some))
        return [jobs_of[key] for key in wanted]

    def _remember(self, wanted: Sequence[Key], done: Reading) -> None:
        texts: Sequence[Text | None] = ()
        if not done.cancelled() and done.exception() is None:
            texts = done.result()
        if len(self._texts) > _CACHED_TEXTS:
            self._texts = {}
        self._texts |= {
            key: text for key, text in zip(wanted, texts, strict=False) if text is not None
        }
        for key in wanted:  # another job may read it by now
            if self._reading.get(key, (None,))[0] is done:
                self._reading.pop(key, None)
