"""Sending one request until it is answered: turns under the limit, retries, a deadline.

Whatever is asked and however an answer is read: the API's pages (`client`) and EDGAR's documents
(`reference.edgar`) go through here.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
import tenacity

from polygon_fundamentals.errors import BrownoutError, RateLimitedError, RetriableApiError
from polygon_fundamentals.http.connections import WATCH
from polygon_fundamentals.http.rate_limit import NoRateLimit, RateLimit
from polygon_fundamentals.http.transport import Answer, Params, Transport
from polygon_fundamentals.reports import RequestCounts
from polygon_fundamentals.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")
# Makes a result of an answer, or raises what its status or body means; the text names the request.
Read = Callable[[Answer, str], T]


class Sender:
    """Sends GET requests to one base URL and retries passing faults; all threads may use it."""

    def __init__(
        self,
        settings: Settings,
        auth: requests.auth.AuthBase,
        rate_limit: RateLimit | None = None,
        *,
        sleep: Callable[[float], Any] = WATCH.stopping.wait,
    ) -> None:
        self._settings = settings
        self._rate_limit = rate_limit or NoRateLimit()
        self._sleep = sleep
        self._transport = Transport(settings, auth)
        self._counts_lock = threading.Lock()
        self.counts = RequestCounts()

    def with_own_counts(self) -> Sender:
        """Return this sender with its own counts; sessions and limits stay shared."""
        twin = copy.copy(self)
        twin.counts = RequestCounts()
        return twin

    def count(self, counts: RequestCounts) -> None:
        """Add to the counts; several threads may."""
        with self._counts_lock:
            self.counts += counts

    def send(
        self, path: str, params: Params, what: str, read: Read[T], max_attempts: int | None = None
    ) -> T:
        """Return what `read` makes of the answer; `what` names the request for messages.

        Raises:
            RetriableApiError: a passing fault that outlasted its retries.
            FundamentalsError: whatever else `read` or the transport raise.
        """

        def once() -> T:
            self.count(RequestCounts(requests=1))
            try:
                answer = self._transport.get(path, params, what)
            finally:
                self._rate_limit.release()
            self.count(RequestCounts(body_bytes=len(answer.body)))
            return read(answer, what)

        return self._retrying(max_attempts)(once)

    def download(
        self, path: str, what: str, sink: Callable[[bytes], object], read: Read[object]
    ) -> int:
        """Give a large body to `sink` piece by piece; return its bytes.

        An answer other than 200 has none, and `read` interprets it. A download is not retried,
        since the sink may already have received part of it.

        Raises:
            RetriableApiError: no answer came, or not all of it.
            FundamentalsError: whatever `read` raises.
        """
        self._rate_limit.acquire()
        self.count(RequestCounts(requests=1))
        try:
            answer, size = self._transport.download(path, what, sink)
        finally:
            self._rate_limit.release()
        self.count(RequestCounts(body_bytes=size))
        if answer.status != 200:
            read(answer, what)
            return 0
        return size

    def _retrying(self, max_attempts: int | None) -> tenacity.Retrying:
        settings = self._settings
        attempts = min(max_attempts or settings.attempts, settings.attempts)
        backoff = tenacity.wait_random_exponential(settings.first_wait, settings.longest_wait)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, RetriableApiError) else None
            if asked is not None:
                # A little more than asked, spread out, so that threads do not return as one.
                return min(asked, settings.longest_retry_after) + backoff(state) / 10
            return backoff(state)

        def take_turn(state: tenacity.RetryCallState) -> None:
            # The deadline is for an API that fails: time in the queue before it does not count.
            state.start_time += self._rate_limit.acquire()

        deadline = tenacity.stop_before_delay(settings.deadline)

        def enough(state: tenacity.RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            limited = isinstance(error, RateLimitedError)
            return deadline(state) or (not limited and state.attempt_number >= attempts)

        def before_sleep(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            brownouts = int(isinstance(error, BrownoutError))
            self.count(RequestCounts(retries=1, brownouts=brownouts))
            log.info("try %d: %s; waiting", state.attempt_number, error)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetriableApiError),
            wait=wait,
            stop=enough,
            sleep=self._sleep,
            before=take_turn,
            before_sleep=before_sleep,
            reraise=True,
        )
