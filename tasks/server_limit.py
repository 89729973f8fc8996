"""The rate limit that all runs share through a Prefect server's global concurrency limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import rate_limit as take
from prefect.exceptions import ObjectNotFound, PrefectException

from polygon_fundamentals.errors import ApiError, UsageError
from polygon_fundamentals.http.decay import PERMIT_SECONDS, DecayLimit, Mirror
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.server import LIMIT_NAME

# How often a run asks whether the limit is still there and active.
CHECK_SECONDS = 10.0


def read_limit(allowance: int | None) -> DecayLimit:
    """Return the server's limit.

    Raises:
        UsageError: it is missing, inactive, without decay, or above `allowance` a minute.
        ApiError: the server does not answer.
    """
    remedy = "`make deploy` sets it, from POLYGON_REQUESTS_PER_MINUTE; then run again"
    name = f"the concurrency limit {LIMIT_NAME!r}"
    try:
        with _answering(), get_client(sync_client=True) as client:
            present = client.read_global_concurrency_limit_by_name(LIMIT_NAME)
    except ObjectNotFound as error:
        raise UsageError(
            f"{name} is missing on the configured Prefect server, so nothing would keep the "
            f"runs within the API's allowance; {remedy}"
        ) from error
    if not present.active:
        raise UsageError(f"{name} is inactive on the configured Prefect server; {remedy}")
    limit = DecayLimit(present.limit, present.slot_decay_per_second)
    if limit.slots < 1 or limit.decay <= 0:
        raise UsageError(
            f"{name} has {limit.slots} slots and a decay of {limit.decay:g}: no rate; {remedy}"
        )
    if allowance is not None and limit.worst_minute > allowance:
        raise UsageError(
            f"{name} grants up to {limit.worst_minute:.0f} requests a minute, more than the "
            f"{allowance} of POLYGON_REQUESTS_PER_MINUTE; {remedy}"
        )
    return limit


@contextmanager
def _answering() -> Iterator[None]:
    """Raise our own error where the server does not answer."""
    try:
        yield
    except ObjectNotFound:
        raise
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise ApiError(
            f"the configured Prefect server does not answer as expected ({type(error).__name__}); "
            "check PREFECT_API_URL and that the server is up, or unset it to run without one"
        ) from error


class ServerRateLimit:
    """Permits of the server's limit, taken in blocks; safe to share between threads.

    The runs of one lake ask one at a time and only when the server should grant: a refusal
    restarts the server's decay, so runs that ask too early would slow each other down.
    """

    def __init__(self, state: Path, allowance: int | None) -> None:
        self._allowance = allowance
        self._limit = read_limit(allowance)
        self._state = state
        self._lock = threading.Lock()
        self._permits = 0
        self._until = 0.0
        self._checked = time.monotonic()

    def acquire(self) -> float:
        """Wait until one more request may be sent; return the seconds waited.

        Raises:
            UsageError: the limit was removed or switched off meanwhile.
        """
        started = time.monotonic()
        with self._lock:
            if self._permits == 0 or time.monotonic() > self._until:
                self._permits = self._take_block()
                self._until = time.monotonic() + PERMIT_SECONDS
            self._permits -= 1
        return time.monotonic() - started

    def release(self) -> None:
        """Do nothing: a permit is used up."""

    def _take_block(self) -> int:
        if time.monotonic() - self._checked > CHECK_SECONDS:
            self._limit = read_limit(self._allowance)
            self._checked = time.monotonic()
        limit = self._limit
        self._state.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self._state.with_suffix(".lock")):
            mirror = self._read()
            time.sleep(min(mirror.wait(limit, limit.block, time.time()), 60.0 / limit.decay))
            try:
                with _answering():
                    take(LIMIT_NAME, occupy=limit.block, strict=True)
            except ConcurrencySlotAcquisitionError as error:
                read_limit(self._allowance)
                raise ApiError(
                    f"the configured Prefect server gave no permit of {LIMIT_NAME!r}: {error}; "
                    "look at the server's log, then run again"
                ) from error
            mirror.granted(limit, limit.block, time.time())
            self._state.write_bytes(orjson.dumps([mirror.active, mirror.updated]))
        return limit.block

    def _read(self) -> Mirror:
        """Return what is known; a file cut by a kill, or a clock set back, is as if none were."""
        try:
            active, updated = orjson.loads(self._state.read_bytes())
        except (FileNotFoundError, ValueError):
            return Mirror()
        return Mirror(active, updated) if updated <= time.time() else Mirror()
