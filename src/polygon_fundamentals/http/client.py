"""The API's client: pages, and what is known of an endpoint's state.

Of every `next_url` only path and query are used, against the configured base, so the key goes to
one host (see `transport`). Retries and the rate limit are `sender`'s.
"""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from polygon_fundamentals.errors import (
    ApiError,
    NotEntitledError,
    PaginationError,
    RetiredError,
    RetriableApiError,
    UnauthorizedError,
)
from polygon_fundamentals.http.answers import Page, quoted, read_page
from polygon_fundamentals.http.connections import WATCH
from polygon_fundamentals.http.rate_limit import RateLimit
from polygon_fundamentals.http.sender import Sender
from polygon_fundamentals.http.transport import Answer, Bearer, Params
from polygon_fundamentals.keys import usable_key
from polygon_fundamentals.reports import RequestCounts
from polygon_fundamentals.settings import Settings

# After this many requests in a row that failed for good, the endpoint is asked for a single row:
# a few companies may be at fault, and a batch that is split fails many times for one of them. If
# that fails too, or after so many failures whatever it says, the API is taken to be down, and the
# rest of a run fails at once instead of waiting out its retries one unit at a time.
FAILURES_UNTIL_ASKED = 5
FAILURES_UNTIL_DOWN = 20


@dataclass
class _Health:
    """What is known of one endpoint's state, shared by all threads of a run.

    `refusal` is the answer that every further request would get too: the key or the plan
    is refused, or the endpoint is gone.
    """

    failures: int = 0
    down: RetriableApiError | None = None
    refusal: ApiError | None = None
    # Of several threads whose requests failed one finds out whether the endpoint is down.
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


def named(path: str, params: Params) -> str:
    """Return what a request is called in messages."""
    return f"{path}?{urlencode(params)}" if params else path


class Client:
    """Sends GET requests to one base URL, retries passing faults, follows pages.

    One client serves all threads of a run; each thread has its own session.

    Raises:
        UsageError: the key cannot stand in a header.
    """

    def __init__(
        self,
        settings: Settings,
        key: str,
        rate_limit: RateLimit | None = None,
        *,
        sleep: Callable[[float], object] = WATCH.stopping.wait,
    ) -> None:
        self._settings = settings
        self._key = usable_key(key, "the API key")
        self._sender = Sender(settings, Bearer(self._key), rate_limit, sleep=sleep)
        self._health: defaultdict[str, _Health] = defaultdict(_Health)

    @property
    def counts(self) -> RequestCounts:
        """What this client asked so far."""
        return self._sender.counts

    def with_own_counts(self) -> Client:
        """Return this client with its own counts; sessions and limits stay shared."""
        twin = copy.copy(self)
        twin._sender = self._sender.with_own_counts()
        return twin

    def quoted(self, words: object, most: int = 200) -> str:
        """Return words of the server's for a message: on one line, cut short, without the key."""
        return quoted(words, self._key, most)

    def get(self, path: str, params: Params) -> Page:
        """Return one page.

        Raises:
            ApiError: a final answer, or a passing fault that outlasted its retries.
            UsageError: the environment's proxy or certificates cannot be used.
        """
        what = named(path, params)
        health = self._health[path]
        if health.refusal is not None:
            raise type(health.refusal)(*health.refusal.args)
        if health.down is not None:
            raise ApiError(
                f"{path} was not requested, because {health.failures} requests in a row had failed "
                f"({health.down}); run again when the API is back"
            ) from health.down
        try:
            page = self._sender.send(path, params, what, self._read)
        except RetriableApiError as error:
            with health.lock:
                if health.down is None:
                    health.failures += 1
                    health.down = error if self._is_down(path, health.failures) else None
            raise ApiError(
                f"{error}, still after {self._settings.attempts} tries or "
                f"{self._settings.deadline:.0f} s; run again later"
            ) from error
        except (UnauthorizedError, NotEntitledError, RetiredError) as error:
            health.refusal = error
            raise
        health.failures = 0
        if page.sunset is not None:
            self._sender.count(RequestCounts(sunset=page.sunset))
        return page

    def _is_down(self, path: str, failures: int) -> bool:
        if failures >= FAILURES_UNTIL_DOWN:
            return True
        if failures % FAILURES_UNTIL_ASKED == 0:
            try:
                self._sender.send(path, {"limit": "1"}, f"{path}?limit=1", self._read, 2)
            except RetriableApiError:
                return True
            except ApiError:
                pass  # it answers, if not as wished
        return False

    def pages(self, path: str, params: Params) -> Iterator[Page]:
        """Yield all pages of an answer, following `next_url`.

        Raises:
            PaginationError: a cursor or a page that repeats, or a `next_url` with another path.
            ApiError: as `get`.
        """
        page = self.get(path, params)
        yield page
        seen: list[Params] = []
        contents = {page.digest}
        while (following := self.following(path, page)) is not None:
            if following in seen or not following:
                raise PaginationError(
                    f"{path}: the cursor of page {len(seen) + 1} repeats, so the answer has no "
                    "end; run again later"
                )
            seen.append(following)
            page = self.get(path, following)
            if page.digest in contents:
                raise PaginationError(
                    f"{path}: page {len(seen) + 1} holds the rows of an earlier page, so the "
                    "answer has no end; run again later"
                )
            contents.add(page.digest)
            yield page

    def following(self, path: str, page: Page) -> dict[str, str] | None:
        """Return the parameters that ask for the page after one of `path`, None at the end.

        A key in a `next_url` is never sent on: the header carries ours.

        Raises:
            PaginationError: its `next_url` cannot be read or has another path.
        """
        if page.next_url is None:
            return None
        try:
            parts = urlsplit(page.next_url)
        except ValueError as error:
            raise PaginationError(
                f"{path}: the address of the next page cannot be read; report it to the vendor, "
                "then run again"
            ) from error
        if parts.path.rstrip("/") != path.rstrip("/"):
            where = self.quoted(parts.path, 100) or "/"
            raise PaginationError(
                f"{path}: the answer says that the next page is at {where}, "
                "outside the endpoint; it was not followed. Report it to the vendor, then run again"
            )
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        return {k: v for k, v in pairs if k.lower() != "apikey" and v != self._key}

    def _read(self, answer: Answer, what: str) -> Page:
        return read_page(answer.status, answer.headers, answer.body, what, secret=self._key)
