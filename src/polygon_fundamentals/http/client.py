"""The HTTP client: requests sessions, tenacity retries, one place for both.

The key travels in the `Authorization` header only. Of every `next_url` only path and
query are used, against the configured base, and no redirect is followed, so the key
goes to one host.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter
from urllib3.exceptions import LocationValueError

from polygon_fundamentals.errors import (
    ApiError,
    BrownoutError,
    NotEntitledError,
    PaginationError,
    RateLimitedError,
    RetiredError,
    RetriableApiError,
    UnauthorizedError,
    UsageError,
)
from polygon_fundamentals.http.answers import Page, quoted, read_page
from polygon_fundamentals.http.rate_limit import NoRateLimit, RateLimit
from polygon_fundamentals.settings import Settings, usable_key

log = logging.getLogger(__name__)

# After this many requests in a row that failed for good, the endpoint is asked for a single row:
# a few companies may be at fault, and a batch that is split fails many times for one of them. If
# that fails too, or after so many failures whatever it says, the API is taken to be down, and the
# rest of a run fails at once instead of waiting out its retries one unit at a time.
FAILURES_UNTIL_ASKED = 5
FAILURES_UNTIL_DOWN = 20

Params = Mapping[str, str]


@dataclass
class Tally:
    """What a client did so far; safe to add to from several threads."""

    requests: int = 0
    retries: int = 0
    brownouts: int = 0
    sunset: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(
        self,
        requests: int = 0,
        retries: int = 0,
        brownouts: int = 0,
        sunset: str | None = None,
    ) -> None:
        """Add to the counts; remember an announced sunset."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.brownouts += brownouts
            self.sunset = sunset or self.sunset


@dataclass
class _Health:
    """What is known of one endpoint's state, shared by all threads of a run.

    `refusal` is the answer that every further request would get too: the key or the plan
    is refused, or the endpoint is gone.
    """

    failures: int = 0
    down: str | None = None
    refusal: ApiError | None = None


class _Bearer(requests.auth.AuthBase):
    """Puts the key in the header, before a .netrc of the user could put another."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Session(requests.Session):
    """A session that follows no redirect, and does not look where one leads."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests would read the address, and raise where it cannot be read."""


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
        sleep: Callable[[float], None] = tenacity.nap.sleep,
    ) -> None:
        self._settings = settings
        self._key = usable_key(key, "the API key")
        self._rate_limit = rate_limit or NoRateLimit()
        self._sleep = sleep
        self._local = threading.local()
        self._health: defaultdict[str, _Health] = defaultdict(_Health)
        self.tally = Tally()

    def counting_anew(self) -> Client:
        """Return this client with a tally of its own; sessions and limits stay shared."""
        twin = copy.copy(self)
        twin.tally = Tally()
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
                f"{path} not asked: {health.failures} requests in a row had failed for good "
                f"({health.down}); run again when the API is back"
            )
        try:
            page = self._retrying()(self._once, path, params, what)
        except RetriableApiError as error:
            health.failures += 1
            if self._is_down(path, health.failures):
                health.down = str(error)
            raise ApiError(
                f"{error}, still after {self._settings.attempts} tries or "
                f"{self._settings.deadline:.0f} s; run again later"
            ) from error
        except (UnauthorizedError, NotEntitledError, RetiredError) as error:
            health.refusal = error
            raise
        health.failures = 0
        self.tally.count(sunset=page.sunset)
        return page

    def _is_down(self, path: str, failures: int) -> bool:
        if failures >= FAILURES_UNTIL_DOWN:
            return True
        if failures % FAILURES_UNTIL_ASKED == 0:
            try:
                self._retrying()(self._once, path, {"limit": "1"}, f"{path}?limit=1")
            except RetriableApiError:
                return True
            except ApiError:
                pass  # it answers, if not as wished
        return False

    def pages(self, path: str, params: Params) -> Iterator[Page]:
        """Yield all pages of an answer, following `next_url`.

        Raises:
            PaginationError: a cursor that repeats, or a `next_url` with another path.
            ApiError: as `get`.
        """
        page = self.get(path, params)
        yield page
        seen: list[Params] = []
        while (following := self.following(path, page)) is not None:
            if following in seen or not following:
                raise PaginationError(
                    f"{path}: the cursor of page {len(seen) + 1} repeats, so the answer has no "
                    "end; run again later"
                )
            seen.append(following)
            page = self.get(path, following)
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
                f"{path}: the next page was said to be at {where}, "
                "outside the endpoint; not followed. Report it to the vendor, then run again"
            )
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        return {k: v for k, v in pairs if k.lower() != "apikey" and v != self._key}

    def _retrying(self) -> tenacity.Retrying:
        settings = self._settings
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
            return deadline(state) or (not limited and state.attempt_number >= settings.attempts)

        def before_sleep(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.tally.count(retries=1, brownouts=isinstance(error, BrownoutError))
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

    def _once(self, path: str, params: Params, what: str) -> Page:
        self.tally.count(requests=1)
        try:
            response = self._session().get(
                self._settings.base_url + path,
                params=dict(params),
                auth=_Bearer(self._key),
                timeout=(self._settings.connect_timeout, self._settings.read_timeout),
                allow_redirects=False,
            )
        except (requests.exceptions.InvalidURL, LocationValueError) as error:
            raise UsageError(
                f"{what} is no valid address: check --base-url, and HTTPS_PROXY where one is set"
            ) from error
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            requests.exceptions.InvalidHeader,  # of the answer: ours hold nothing odd
        ) as error:
            raise RetriableApiError(f"{what} failed on the way ({_reason(error)})") from error
        except OSError as error:  # requests' own errors too; its text may hold a proxy's password
            raise UsageError(
                f"{what} could not be sent ({type(error).__name__}): check the proxy in "
                "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY (socks5:// needs `pip install pysocks "
                "socksio`) and the certificates in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
            ) from error
        return read_page(
            response.status_code, response.headers, response.content, what, secret=self._key
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = _Session()
            adapter = HTTPAdapter(pool_connections=2, pool_maxsize=2, max_retries=0)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            session.headers.update({"Accept": "application/json"})
            self._local.session = session
        return session


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words, without addresses of Python objects."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS failed"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy failed"
    text = str(error).lower()
    for words, reason in (
        ("refused", "connection refused"),
        ("resolve", "host name unknown"),
        ("reset", "connection reset"),
        ("incompleteread", "answer cut short"),
        ("without response", "connection closed without an answer"),
    ):
        if words in text:
            return reason
    return type(error).__name__
