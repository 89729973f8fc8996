"""What an HTTP answer means: the one table from status to remedy.

Facts: the envelopes and statuses in the vendor's OpenAPI description and in recorded
answers (400 with `error`, 401 `Unknown API Key`, 403 `NOT_AUTHORIZED` with `message`,
404, 410 with `Sunset`, 429 with or without `Retry-After`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson

from polygon_fundamentals.errors import (
    ApiError,
    BadRequestError,
    BrownoutError,
    ContentError,
    NotEntitledError,
    NotFoundError,
    RateLimitedError,
    RetiredError,
    RetriableApiError,
    UnauthorizedError,
)
from polygon_fundamentals.statements import FILINGS_PATH, V1_PATH, Statement

# An object of JSON, as it came.
JsonObject = dict[str, Any]


class _Row(msgspec.Struct):
    """The fields that identify a row's company and filing date. Types are not checked."""

    cik: Any = None
    tickers: Any = None
    filing_date: Any = None


class _Envelope(msgspec.Struct):
    status: Any = None
    error: Any = None
    results: list[_Row | None] | None = None
    count: Any = None
    next_url: Any = None


class _Results(msgspec.Struct):
    results: msgspec.Raw = msgspec.Raw()


# Made with the module, by one thread: two that are the first to decode into a type at the same
# moment crash the process (msgspec 0.22.0 shows the second what the first has half prepared).
_DECODER = msgspec.json.Decoder(_Envelope)
_RESULTS_DECODER = msgspec.json.Decoder(_Results)


@dataclass(frozen=True)
class Page:
    """One page of an answer.

    `body` is the text as it came, `next_url` the address of the next page or None; `sunset` is
    the day that the answer's headers announce for the endpoint's end, or None. `what` names the
    request for messages.
    """

    body: bytes
    next_url: str | None
    sunset: str | None = None
    what: str = ""

    @property
    def results(self) -> list[JsonObject]:
        """The rows as Python objects, parsed at every call.

        Raises:
            ContentError: a number is larger than a float64 can be, or a row is nested too deep.
        """
        try:
            rows: list[JsonObject] = orjson.loads(self.body).get("results") or []
        except orjson.JSONDecodeError as error:
            raise ContentError(
                f"a row of {self.what} cannot be read ({error.msg}); report this request to the "
                "vendor"
            ) from error
        return rows

    @property
    def digest(self) -> bytes:
        """A digest of the rows as they came, whatever the envelope around them says."""
        return blake2b(_RESULTS_DECODER.decode(self.body).results, digest_size=16).digest()

    @property
    def row_ids(self) -> list[JsonObject]:
        """`cik`, `tickers`, `filing_date` of every row: a tenth of the time of `results`."""
        return [
            msgspec.structs.asdict(row or _Row())
            for row in _envelope(self.body, self.what).results or ()
        ]


def header_day(text: str | None) -> str | None:
    """Return the day (YYYY-MM-DD) of a `Sunset` header, an HTTP date or an ISO day."""
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).date().isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text.strip()).date().isoformat()
    except ValueError:
        return None


def retry_after_seconds(text: str | None, now: datetime | None = None) -> float | None:
    """Return the wait that a `Retry-After` header asks for, in seconds, or None."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def quoted(words: object, secret: str, most: int = 200) -> str:
    """Return the server's words for a message: on one line, cut short, `secret` left out.

    A gateway may say the header back that it was sent.
    """
    text = " ".join(str(words).split())
    # Escape sequences and marks of writing direction would act on the reader's terminal.
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if secret:  # before the cut, which could leave a part of it
        text = re.sub(re.escape(secret), "(the API key)", text, flags=re.IGNORECASE)
    return text[:most]


def _said(body: bytes, secret: str) -> str:
    """Return the API's own message after a colon, or an empty text without a readable one."""
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(envelope, dict):
        return ""
    text = envelope.get("error") or envelope.get("message") or ""
    return f": {quoted(text, secret)}" if text else ""


def read_page(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    what: str,
    today: str | None = None,
    *,
    secret: str = "",
) -> Page:
    """Return the page that an answer holds.

    `what` names the request for messages (path and query, never the key); `today` is a
    day (YYYY-MM-DD) to judge a sunset by, the present one by default; `secret` is what no
    message may repeat.

    Raises:
        RetriableApiError: 408, 425, 429, 5xx, a 410 before its sunset (BrownoutError), or a
            body that is cut short, reports an error or is not the JSON of a list answer.
        ContentError: 200 with a body nested too deep to be read.
        UnauthorizedError, NotEntitledError, NotFoundError, BadRequestError, RetiredError,
        ApiError: final answers, each with its remedy.
    """
    sunset = header_day(headers.get("Sunset"))
    path = what.split("?")[0]
    if status == 200:
        return _page(body, what, sunset, secret)
    said = _said(body, secret)
    if status in (408, 425, 429) or status >= 500:
        wait = retry_after_seconds(headers.get("Retry-After"))
        kind = RateLimitedError if status == 429 else RetriableApiError
        raise kind(f"{what} answered {status}{said}", wait)
    if status == 410:
        day = today or datetime.now(UTC).date().isoformat()
        if sunset is not None and sunset > day:
            raise BrownoutError(f"{what} answered 410 in a brownout before its sunset on {sunset}")
        since = f"since {sunset}" if sunset else "(no sunset date was sent)"
        raise RetiredError(
            f"{path} answered 410: this endpoint is retired {since}. {_after_retirement(path)}",
            sunset,
        )
    if status == 401:
        raise UnauthorizedError(
            f"{path} answered 401{said}. The API does not accept the key: check "
            "POLYGON_API_KEY (or MASSIVE_API_KEY) and that the key is active"
        )
    if status == 403:
        raise NotEntitledError(
            f"{path} answered 403{said}. The key is valid but its plan does not "
            f"include this endpoint: change the plan{_without_plan(path)}"
        )
    if status == 404:
        raise NotFoundError(f"{path} answered 404{said}. Nothing is served there: check --base-url")
    if status == 400:
        raise BadRequestError(
            f"{what} answered 400{said}. The API refuses the parameters: correct them"
        )
    if 300 <= status < 400:
        host = quoted(_host(headers.get("Location", "")), secret)
        raise ApiError(
            f"{path} answered {status}, a redirect to {host}, which is not followed (the key would "
            "go with it): set --base-url to the API's own address"
        )
    raise ApiError(f"{what} answered {status}{said}, which this client does not know")


def _after_retirement(path: str) -> str:
    if path == V1_PATH:
        return "Load v2 instead (--generation v2, or --use-v2); the v1 records of your lake stay"
    if path == FILINGS_PATH:
        return "Run without --original-dates; the dates that are known stay"
    return "Install a newer version of this program, if there is one that knows what replaces it"


def _without_plan(path: str) -> str:
    if path == FILINGS_PATH:
        return ", or run without --original-dates"
    if path in (V1_PATH, *(statement.v2_path for statement in Statement)):
        return ", or load the other generation"
    return ""


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or "elsewhere"
    except ValueError:
        return "elsewhere"


def _page(body: bytes, what: str, sunset: str | None, secret: str) -> Page:
    try:
        envelope = _envelope(body, what)
    except msgspec.ValidationError as error:
        raise RetriableApiError(f"{what} answered 200 without a list of results") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RetriableApiError(f"{what} answered 200 with a body that is not JSON") from error
    if str(envelope.status).upper() == "ERROR" or envelope.error:
        raise RetriableApiError(
            f"{what} answered 200 with an error in its body{_said(body, secret)}"
        )
    if envelope.results is None and envelope.count != 0:
        raise RetriableApiError(f"{what} answered 200 without a list of results")
    following = envelope.next_url
    following = following if isinstance(following, str) and following else None
    return Page(body, following, sunset, what)


def _envelope(body: bytes, what: str) -> _Envelope:
    """Read an answer whole, but make objects of little of it: the writers parse the rest."""
    if not body.isascii():
        body.decode()  # msgspec looks at the structure, not into the texts
    try:
        return _DECODER.decode(body)
    except RecursionError as error:
        raise ContentError(
            f"{what} answered 200 with a body nested too deep to be read; report this request to "
            "the vendor"
        ) from error
