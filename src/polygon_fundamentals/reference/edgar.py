"""SEC EDGAR's answers: facts and filings of a company, and the nightly zips of all.

Facts of 2026: no key, but a `User-Agent` with a name and an e-mail address; ten requests a second
for one user; no ETag and no Last-Modified; neither a 403 nor a 429 has a Retry-After. Answers are
a company's alone, by its CIK, and stay after it was delisted.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from polygon_fundamentals.errors import (
    ApiError,
    EdgarIdentityError,
    EdgarUnreachableError,
    InterruptedRequestError,
    RateLimitedError,
    RetriableApiError,
)
from polygon_fundamentals.http.connections import WATCH
from polygon_fundamentals.http.sender import Sender
from polygon_fundamentals.http.transport import Answer, Declared
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.reports import RequestCounts
from polygon_fundamentals.settings import EDGAR_IDENTITY, EdgarSettings

T = TypeVar("T")
FACTS_ZIP = "/Archives/edgar/daily-index/xbrl/companyfacts.zip"
SUBMISSIONS_ZIP = "/Archives/edgar/daily-index/bulkdata/submissions.zip"
# Seconds after an answer until its slot is free: a second, and what clocks may differ in one.
_REST = 1.02
# A slot whose process died is free after this; a request has long arrived by then.
_LEASE = 60.0
# After so many companies in a row for which EDGAR gave no answer, the rest is not asked for.
_FAILURES_UNTIL_UNREACHABLE = 3


class EdgarLimit:
    """Eight requests in any second, and a pause for all, over all processes that share a lake.

    There are eight slots. A request takes one, which is free again a second after the answer came.
    So the requests of one slot reach EDGAR more than a second apart, however long each was on its
    way, and no second can hold a ninth. One small file holds from when each slot is free and until
    when all pause.
    """

    def __init__(
        self,
        lake: Lake,
        settings: EdgarSettings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = WATCH.stopping.wait,
    ) -> None:
        self._file = lake.ops / "locks" / "rate-edgar.bin"
        self._slots = settings.requests_per_second
        self._pause = settings.pause
        self._clock, self._sleep = clock, sleep
        self._mine = threading.local()

    def acquire(self) -> float:
        """Take a slot, and wait until one is free; return the seconds waited.

        Raises:
            InterruptedRequestError: the run was interrupted.
        """
        waited = 0.0
        while True:
            with self._held():
                now = self._clock()
                paused, free = self._read(now)
                slot = free.index(min(free))
                wait = max(paused, free[slot]) - now
                if wait <= 0:
                    free[slot] = now + _LEASE
                    self._mine.slot = slot
                self._write(now, paused, free)
                if wait <= 0:
                    return waited
            # A slot whose answer comes meanwhile is free after that; a pause may be prolonged.
            wait = wait if paused > now else min(wait, _REST)
            self._sleep(wait)
            waited += wait
            WATCH.refuse_when_stopping()

    def release(self) -> None:
        """Let the slot that this thread has taken rest for a second: its request is answered."""
        with self._held():
            now = self._clock()
            paused, free = self._read(now)
            free[self._mine.slot] = now + _REST
            self._write(now, paused, free)

    def pause(self) -> None:
        """Let nobody ask before a pause is over; one that is under way begins again."""
        with self._held():
            now = self._clock()
            self._write(now, now + self._pause, self._read(now)[1])

    def _held(self) -> AbstractContextManager[None]:
        return exclusive(self._file.with_suffix(".lock"))

    def _read(self, now: float) -> tuple[float, list[float]]:
        """Return until when all pause and from when each slot is free.

        Where the clock was set back since they were written, they are too. A file that was cut
        says nothing.
        """
        try:
            written, *times = struct.unpack(f"<{self._slots + 2}d", self._file.read_bytes())
        except (FileNotFoundError, struct.error):
            return 0.0, [0.0] * self._slots
        back = max(0.0, written - now)
        return times[0] - back, [moment - back for moment in times[1:]]

    def _write(self, now: float, paused: float, free: Sequence[float]) -> None:
        self._file.write_bytes(struct.pack(f"<{self._slots + 2}d", now, paused, *free))


class Edgar:
    """Asks EDGAR; all threads of a run may use it.

    After an answer that every further request would get too, it asks no more and raises the same.
    """

    def __init__(
        self,
        settings: EdgarSettings,
        limit: EdgarLimit,
        *,
        sleep: Callable[[float], object] = WATCH.stopping.wait,
    ) -> None:
        auth = Declared(settings.identity)
        self._settings, self._limit = settings, limit
        self._data = Sender(settings.data, auth, limit, sleep=sleep)
        self._archives = Sender(settings.archives, auth, limit, sleep=sleep)
        self._lock = threading.Lock()
        self._failures = 0
        self._refusal: EdgarUnreachableError | EdgarIdentityError | None = None

    @property
    def counts(self) -> tuple[RequestCounts, RequestCounts]:
        """What was asked so far: of facts and submissions, and of the zips."""
        return self._data.counts, self._archives.counts

    def company_facts(self, cik: str) -> bytes | None:
        """Return a company's companyfacts answer, None where it has none.

        Raises:
            EdgarUnreachableError: EDGAR gave no answer.
            EdgarIdentityError: EDGAR does not accept who asks.
        """
        return self._get(f"/api/xbrl/companyfacts/CIK{cik}.json")

    def submissions(self, cik: str) -> bytes | None:
        """Return a company's submissions, None where it has none. Raises as `company_facts`."""
        return self._get(f"/submissions/CIK{cik}.json")

    def older_page(self, name: str) -> bytes | None:
        """Return an older page that submissions name. Raises as `company_facts`."""
        return self._get(f"/submissions/{name}")

    def download(self, path: str, file: Path) -> bool:
        """Write one of the nightly zips to `file`; return whether there is one.

        Raises as `company_facts`.
        """
        with file.open("wb") as sink:
            size = self._answered(
                lambda read: self._archives.download(path, path, sink.write, read)
            )
        return bool(size)

    def _get(self, path: str) -> bytes | None:
        return self._answered(lambda read: self._data.send(path, {}, path, read))

    def _answered(self, ask: Callable[[_Reading], T]) -> T:
        if self._refusal is not None:
            raise type(self._refusal)(*self._refusal.args)
        try:
            answer = ask(_Reading(self._limit))
        except InterruptedRequestError:
            raise
        except EdgarIdentityError as error:
            self._refusal = error
            raise
        except ApiError as error:
            unreachable = EdgarUnreachableError(f"SEC EDGAR is not reachable: {error}")
            with self._lock:
                self._failures += 1
                for_good = not isinstance(error, RetriableApiError)
                if for_good or self._failures >= _FAILURES_UNTIL_UNREACHABLE:
                    self._refusal = unreachable
            raise unreachable from error
        with self._lock:
            self._failures = 0
        return answer


class _Reading:
    """Reads the answers to one request; a second refusal for the rate is final."""

    def __init__(self, limit: EdgarLimit) -> None:
        self._limit = limit
        self._refused = False

    def __call__(self, answer: Answer, what: str) -> bytes | None:
        """Return the body, None where nothing is there.

        Raises:
            RateLimitedError: too many requests; everybody pauses.
            EdgarIdentityError: the name or address of who asks is missing or generic.
            RetriableApiError: 408, 425 or 5xx.
            ApiError: any other answer.
        """
        status = answer.status
        if status == 200:
            return answer.body
        text = "" if status == 404 else answer.body[:20_000].decode(errors="replace")
        # An object that the store behind does not have; under /Archives it is not even said so.
        if status == 404 or (status == 403 and "<Code>AccessDenied</Code>" in text):
            return None
        if status == 403 and "Undeclared Automated Tool" in text:
            raise EdgarIdentityError(
                "SEC EDGAR does not accept the name given (403, undeclared automated tool): set "
                f"{EDGAR_IDENTITY} to your own name and e-mail address, then run again"
            )
        if status == 429 or (status == 403 and "Request Rate Threshold Exceeded" in text):
            raise self._too_fast(status, what)
        if status in (408, 425) or status >= 500:
            raise RetriableApiError(f"{what} answered {status}")
        raise ApiError(f"{what} answered {status}, perhaps because of this network's address")

    def _too_fast(self, status: int, what: str) -> ApiError:
        """Let everybody pause; return the error, which a second time is final."""
        self._limit.pause()
        if not self._refused:
            self._refused = True
            return RateLimitedError(f"{what} answered {status}, too many requests")
        return ApiError(
            f"{what} answered {status} again after a pause of ten minutes: another program at "
            "this address asks EDGAR too often, or EDGAR refuses the name or address in "
            f"{EDGAR_IDENTITY}"
        )
