"""SEC EDGAR's answers: facts and filings of a company, and the nightly zips of all.

Facts of 2026: no key, but a `User-Agent` with a name and an e-mail address; ten requests a second
for one user; no ETag and no Last-Modified; neither a 403 nor a 429 has a Retry-After. Answers are
a company's alone, by its CIK, and stay after it was delisted.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import requests
import tenacity

from polygon_fundamentals.errors import (
    ApiError,
    EdgarIdentityError,
    EdgarUnreachableError,
    RateLimitedError,
    RetriableApiError,
)
from polygon_fundamentals.http.sender import Sender
from polygon_fundamentals.http.transport import Declared
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.reports import RequestCounts
from polygon_fundamentals.settings import EDGAR_IDENTITY, EdgarSettings

T = TypeVar("T")
FACTS_ZIP = "/Archives/edgar/daily-index/xbrl/companyfacts.zip"
SUBMISSIONS_ZIP = "/Archives/edgar/daily-index/bulkdata/submissions.zip"
# A little more than a second's share, so that no second holds one more at its edges.
_SPACING = 1.04
# Seconds that the turns of all waiting threads may reach ahead.
_LONGEST_QUEUE = 60.0
_TIMES = struct.Struct("<2d")
# After so many companies in a row for which EDGAR gave no answer, the rest is not asked for.
_FAILURES_UNTIL_UNREACHABLE = 3


class EdgarLimit:
    """Eight requests a second, and a pause for all, over all processes that share a lake.

    One small file holds when the next request may leave and until when all pause. Requests leave
    one by one, never as a burst: what is late on its way then meets few others.
    """

    def __init__(
        self,
        lake: Lake,
        settings: EdgarSettings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._file = lake.ops / "locks" / "rate-edgar.bin"
        self._spacing = _SPACING / settings.requests_per_second
        self._pause = settings.pause
        self._clock, self._sleep = clock, sleep

    def acquire(self) -> float:
        """Wait until one more request may be sent; return the seconds waited.

        A turn is reserved under the lock and waited for outside it. Where a pause began meanwhile,
        or the turn has passed, another one is taken.
        """
        waited = 0.0
        while True:
            with self._held():
                now = self._clock()
                following, paused = self._read(now)
                turn = max(now, following, paused)
                self._file.write_bytes(_TIMES.pack(turn + self._spacing, paused))
            if turn > now:
                self._sleep(turn - now)
                waited += turn - now
                if self._clock() - turn > self._spacing:
                    continue  # woken late, on a busy machine: the turns after it may have come
            with self._held():
                if self._read(self._clock())[1] <= turn:
                    return waited

    def pause(self) -> None:
        """Let nobody ask before the pause is over; it begins anew where one was on."""
        with self._held():
            until = self._clock() + self._pause
            self._file.write_bytes(_TIMES.pack(until, until))

    def _held(self) -> AbstractContextManager[None]:
        return exclusive(self._file.with_suffix(".lock"))

    def _read(self, now: float) -> tuple[float, float]:
        """Return both times; of a file that was cut, or a clock set back, no more than can be."""
        try:
            following, paused = _TIMES.unpack(self._file.read_bytes())
        except (FileNotFoundError, struct.error):
            return 0.0, 0.0
        return min(following, now + self._pause + _LONGEST_QUEUE), min(paused, now + self._pause)


class Edgar:
    """Asks EDGAR; all threads of a run may use it.

    After an answer that every further request would get too, it asks no more and raises the same.
    """

    def __init__(
        self,
        settings: EdgarSettings,
        limit: EdgarLimit,
        *,
        sleep: Callable[[float], None] = tenacity.nap.sleep,
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

    def __call__(self, response: requests.Response, what: str) -> bytes | None:
        """Return the body, None where nothing is there.

        Raises:
            RateLimitedError: too many requests; everybody pauses.
            EdgarIdentityError: the name or address of who asks is missing or generic.
            RetriableApiError: 408, 425 or 5xx.
            ApiError: any other answer.
        """
        status = response.status_code
        if status == 200:
            return response.content
        text = "" if status == 404 else response.text[:20_000]
        # An object that the store behind does not have; under /Archives it is not even said so.
        if status == 404 or (status == 403 and "<Code>AccessDenied</Code>" in text):
            return None
        if status == 403 and "Undeclared Automated Tool" in text:
            raise EdgarIdentityError(
                "SEC EDGAR does not accept who asks (403, undeclared automated tool): set "
                f"{EDGAR_IDENTITY} to your own name and e-mail address, then run again"
            )
        if status == 429 or (status == 403 and "Request Rate Threshold Exceeded" in text):
            raise self._too_fast(status, what)
        if status in (408, 425) or status >= 500:
            raise RetriableApiError(f"{what} answered {status}")
        raise ApiError(f"{what} answered {status}, which may be said to this network's address")

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
