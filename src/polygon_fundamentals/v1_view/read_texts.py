"""The texts of records, of which those on bare shelves are read by the worker, and remembered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.v1_view import jobs
from polygon_fundamentals.v1_view.shelf_file import Record, Text
from polygon_fundamentals.v1_view.state import MovedError, NotReadyError
from polygon_fundamentals.v1_view.worker import Worker

# Within the time that the vendor's client waits for an answer.
WAIT_SECONDS = 8.0
_CACHED_TEXTS = 5_000

log = logging.getLogger("polygon_fundamentals.serve_v1")


class ReadTexts:
    """Reads the texts of records, and remembers those that were read last."""

    def __init__(self, root: str, worker: Worker) -> None:
        self._root = root
        self._worker = worker
        self._texts: dict[tuple[tuple[str, ...], bytes], Text] = {}

    def of(self, records: Sequence[Record]) -> list[Text]:
        """Return `body` and `sourced` of some records.

        Raises:
            MovedError: a file is not where it was: ask for the records again.
            NotReadyError: they cannot be read now.
        """
        cached: list[Text | None] = [
            self._texts.get((r.ties, r.rows)) if r.body is None else (r.body, r.sourced)
            for r in records
        ]
        missing = [i for i, text in enumerate(cached) if text is None]
        if missing:
            wanted = [(records[i].ties, records[i].rows) for i in missing]
            try:
                future = self._worker.answer(jobs.run, "texts.texts_of", self._root, wanted)
                # Also those that come too late for this request: it will be made again.
                future.add_done_callback(lambda done: self._remember(wanted, done))
                texts = future.result(WAIT_SECONDS)
            except (FundamentalsError, OSError, BrokenProcessPool, TimeoutError) as error:
                log.warning("records are not read yet: %s", str(error) or type(error).__name__)
                raise NotReadyError("the records are not read from the lake yet") from error
            for i, text in zip(missing, texts, strict=True):
                if text is None:
                    raise MovedError
                cached[i] = text
        return [text for text in cached if text is not None]

    def _remember(
        self, wanted: Sequence[tuple[tuple[str, ...], bytes]], done: Future[list[Text | None]]
    ) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._texts) > _CACHED_TEXTS:
            self._texts = {}
        for key, text in zip(wanted, done.result(), strict=True):
            if text is not None:
                self._texts[key] = text
