"""One request over the wire: a requests session a thread, and what can go wrong on the way.

Who asks is handed in and travels in a header only: the API's key in `Authorization`, for EDGAR the
name and address in `User-Agent`. No redirect is followed, so that it goes to one host.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationValueError

from polygon_fundamentals.errors import ContentError, RetriableApiError, UsageError
from polygon_fundamentals.http.connections import WATCH, WatchedAdapter
from polygon_fundamentals.settings import Settings

Params = Mapping[str, str]
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer: status, headers in any letter case, and the unpacked body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Bearer(requests.auth.AuthBase):
    """Puts the key in the header, before a .netrc of the user could put another."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Declared(requests.auth.AuthBase):
    """Sets the `User-Agent` header to the requester's identity, without the user's .netrc."""

    def __init__(self, identity: str) -> None:
        self._identity = identity

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["User-Agent"] = self._identity
        return request


class _Session(requests.Session):
    """A session that follows no redirect, and does not look where one leads."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests would read the address, and raise where it cannot be read."""


class Transport:
    """Sends single GET requests to one base URL; all threads may use it."""

    def __init__(self, settings: Settings, auth: requests.auth.AuthBase) -> None:
        self._settings = settings
        self._auth = auth
        self._local = threading.local()

    def get(self, path: str, params: Params, what: str) -> Answer:
        """Return the answer, of whatever status; `what` names the request for messages.

        Raises:
            RetriableApiError: no answer came, or not all of it within `answer_deadline`.
            ContentError: the body is larger than `largest_answer`, of which no more is held.
            InterruptedRequestError: the run was interrupted.
            UsageError: the address, or the environment's proxy or certificates, cannot be used.
        """
        named = _failures_named(what, self._settings.answer_deadline, self._settings.variable)
        with named, self._ask(path, params) as response:
            return self._whole(response, what)

    def download(self, path: str, what: str, sink: Callable[[bytes], object]) -> tuple[Answer, int]:
        """Give the body of a 200 to `sink` piece by piece; return the answer and the bytes.

        The body of any other status is in the answer. Raises as `get`.
        """
        size = 0
        named = _failures_named(what, self._settings.download_deadline, self._settings.variable)
        with named, self._ask(path, {}) as response:
            if response.status_code != 200:
                answer = self._whole(response, what)
                return answer, len(answer.body)
            for piece in response.iter_content(_PIECE_BYTES):
                size += len(piece)
                sink(piece)
        return Answer(response.status_code, response.headers, b""), size

    def _whole(self, response: requests.Response, what: str) -> Answer:
        """Read a body to its end, or to what an answer may have at most."""
        pieces, size, most = [], 0, self._settings.largest_answer
        for piece in response.iter_content(_PIECE_BYTES):
            size += len(piece)
            if size > most:
                raise ContentError(
                    f"{what} answered {response.status_code} with more than {most / 1e6:,.0f} MB, "
                    "which no page of this API has: check --base-url, and report this request to "
                    "the vendor"
                )
            pieces.append(piece)
        return Answer(response.status_code, response.headers, b"".join(pieces))

    def _ask(self, path: str, params: Params) -> requests.Response:
        return self._session().get(
            self._settings.base_url + path,
            params=dict(params),
            auth=self._auth,
            timeout=(self._settings.connect_timeout, self._settings.read_timeout),
            allow_redirects=False,
            stream=True,
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = _Session()
            adapter = WatchedAdapter(pool_connections=2, pool_maxsize=2, max_retries=0)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            session.headers.update({"Accept": "application/json"})
            self._local.session = session
        return session


@contextmanager
def _failures_named(what: str, seconds: float, variable: str) -> Iterator[None]:
    """Raise what fails on the way, or takes longer, as one of our errors that names the request."""
    late: list[bool] = []
    try:
        with WATCH.within(seconds) as late:
            yield
    except (requests.exceptions.InvalidURL, LocationValueError) as error:
        raise UsageError(
            f"{what} is not a valid address: check --base-url, and HTTPS_PROXY where one is set"
        ) from error
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidHeader,  # of the answer: ours hold nothing odd
    ) as error:
        reason = f"no complete answer in {seconds:.0f} s" if late else _reason(error, variable)
        raise RetriableApiError(f"{what} failed ({reason})") from error
    except OSError as error:  # requests' own errors too; its text may hold a proxy's password
        raise UsageError(
            f"{what} could not be sent ({type(error).__name__}): check the proxy in "
            "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY (socks5:// needs `pip install pysocks "
            "socksio`) and the certificates in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        ) from error
    if late:
        raise RetriableApiError(f"{what} failed (no complete answer in {seconds:.0f} s)")


def _host(error: Exception) -> str:
    """Return host and port of the request that failed."""
    sent = getattr(error, "request", None)
    place = urlsplit(sent.url or "") if sent is not None else None
    if place is None or place.hostname is None:
        return "the server"
    return place.hostname if place.port is None else f"{place.hostname}:{place.port}"


def _reason(error: Exception, variable: str) -> str:
    """Return what went wrong in a few words; `variable` holds the address that was asked."""
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
        ("refused", f"connection refused by {_host(error)}: is {variable} right?"),
        ("resolve", f"no address is known for the host {_host(error)}"),
        ("reset", "connection reset"),
        ("incompleteread", "answer cut short"),
        ("without response", "connection closed without an answer"),
    ):
        if words in text:
            return reason
    return type(error).__name__
