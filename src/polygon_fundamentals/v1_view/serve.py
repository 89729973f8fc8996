"""v1's API from the lake: `GET /vX/reference/financials` as the vendor answered it."""

from __future__ import annotations

import hashlib
import logging
import re
import struct
import threading
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from polygon_fundamentals.statements import V1_PATH
from polygon_fundamentals.v1_view.docs_page import docs_page
from polygon_fundamentals.v1_view.index import WAIT_SECONDS, Index
from polygon_fundamentals.v1_view.keys import Keys
from polygon_fundamentals.v1_view.query import (
    BadQueryError,
    Place,
    V1Query,
    decode_cursor,
    encode_cursor,
    problem_of,
)
from polygon_fundamentals.v1_view.state import MovedError, NotReadyError, UnreadableError
from polygon_fundamentals.v1_view.words import codec

MAX_QUERY_BYTES = 4_096
RETRY_SECONDS = 0.1
_CACHED_BYTES = 32_000_000
_LOGGED_CHARACTERS = 300
_HOST = re.compile(r"[A-Za-z0-9._~\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_OPEN = ("/health", "/docs", "/openapi.json")

access = logging.getLogger("polygon_fundamentals.serve_v1.access")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


@dataclass(frozen=True)
class Answer:
    """A page: its text but for the address of the next, whole and compressed."""

    body: bytes
    deflated: bytes
    etag: str
    generations: str

    @property
    def size(self) -> int:
        """The bytes that it takes in memory."""
        return len(self.body) + len(self.deflated)


def error_body(status: int, text: str) -> bytes:
    """Return the vendor's envelope of an error; 404 calls its text `message`."""
    word, key = ("NOT_FOUND", "message") if status == 404 else ("ERROR", "error")
    return orjson.dumps({"status": word, "request_id": uuid.uuid4().hex, key: text})


def error_response(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer with the vendor's envelope of an error."""
    body = error_body(status, text)
    return Response(body, status, headers=headers, media_type="application/json")


class Pages:
    """The pages that were asked for last, made of the index's records."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[Any, ...], Answer] = OrderedDict()
        self._bytes = 0

    def answer(self, query: V1Query, base: str) -> Answer:
        """Return the page of a query; `base` is the address that the next page's begins with.

        Raises:
            BadQueryError: the cursor is none of ours.
            NotReadyError, UnreadableError: as `Index.records`.
        """
        after = None
        if query.cursor is not None:
            query, after = decode_cursor(query.cursor)
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return self._page(query, after, base)
            except MovedError:
                # A file changed, and a later state has it as it is; or a switch gave v1's folder
                # another name, and it is there.
                if time.monotonic() > until:
                    raise NotReadyError("the lake is changing at the moment") from None
                time.sleep(RETRY_SECONDS)

    def _page(self, query: V1Query, after: Place | None, base: str) -> Answer:
        """Return the page after a place; raises as `answer`, and MovedError."""
        records, number = self._index.records(query.ticker, query.cik)
        key = (number, query, after, base)
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                self._answers.move_to_end(key)
                return known
        matches, following = records.page(query, after)
        unpack = codec().unpack
        texts = self._index.texts(matches)
        rows = [unpack(s if query.include_sources and s else body) for body, s in texts]
        head = f'"count":{len(rows)}'
        if following is not None:
            head += f',"next_url":"{base}{V1_PATH}?cursor={encode_cursor(query, following)}"'
        rest = b",".join([head.encode(), b'"results":[' + b",".join(rows) + b"]}"])
        digest = hashlib.blake2b(rest, digest_size=16).hexdigest()
        body = f'{{"status":"OK","request_id":"{digest}",'.encode() + rest
        generations = ",".join(sorted({r.generation for r in matches}))
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        deflated = packer.compress(body) + packer.flush()
        made = Answer(body, _gzip(deflated, body), f'W/"{digest}"', generations)
        with self._lock:
            if key not in self._answers:
                self._answers[key] = made
                self._bytes += made.size
            while self._bytes > _CACHED_BYTES and len(self._answers) > 1:
                _, oldest = self._answers.popitem(last=False)
                self._bytes -= oldest.size
        return made


def _gzip(deflated: bytes, body: bytes) -> bytes:
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + deflated + struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)


def make_app(index: Index, keys: Keys, public_url: str | None = None) -> Gate:
    """Return the application: v1's endpoint, `/health`, `/docs`, behind its keys."""
    app = FastAPI(
        title="v1 financials from the lake",
        description="The vendor's retired `/vX/reference/financials`, read only. A record's "
        "`generation` says whether it is v1's own (`v1`) or a record of v2 in v1's form (`v2`).",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    pages = Pages(index)

    @app.api_route(V1_PATH, methods=["GET", "HEAD"], summary="Stock Financials vX")
    def financials(request: Request, query: Annotated[V1Query, Query()]) -> Response:
        answer = pages.answer(query, public_url or _base(request))
        headers = {
            "ETag": answer.etag,
            "Vary": "Accept-Encoding",
            "Cache-Control": "no-cache",
            "X-Generation": answer.generations,
        }
        if _is_known(request.headers.get("if-none-match"), answer.etag):
            return Response(status_code=304, headers=headers)
        body = answer.body
        if _takes_gzip(request.headers.get("accept-encoding", "")):
            body, headers["Content-Encoding"] = answer.deflated, "gzip"
        return Response(body, headers=headers, media_type="application/json")

    @app.api_route("/health", methods=["GET", "HEAD"], summary="Whether the server answers")
    def health() -> dict[str, object]:
        state = index.state
        return {
            "status": "OK",
            "tickers": len(state.tickers),
            "tickers_ready": len(state.shelves),
            "complete": state.is_complete,
            "tickers_full": sum(shelf.is_full for shelf in state.shelves.values()),
        }

    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()))

    def refused(_: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            return error_response(400, problem_of(error.errors()))
        if isinstance(error, HTTPException):
            return error_response(error.status_code, str(error.detail))
        if isinstance(error, NotReadyError):
            return error_response(503, str(error), {"Retry-After": "2"})
        if isinstance(error, UnreadableError):
            # Its text names a path, which is for the server's log.
            return error_response(500, "a file of the lake cannot be read; see the server's log")
        return error_response(400, str(error))

    for kind in (
        RequestValidationError,
        HTTPException,
        BadQueryError,
        NotReadyError,
        UnreadableError,
    ):
        app.add_exception_handler(kind, refused)
    return Gate(app, keys)


def _base(request: Request) -> str:
    """Return the address by which the client reached this server."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = request.scope.get("server") or ("127.0.0.1", 80)
        host = f"{name}:{port}"
    return f"{request.scope['scheme']}://{host}"


def _is_known(header: str | None, etag: str) -> bool:
    etags = [] if header is None else [part.strip() for part in header.split(",")]
    return "*" in etags or etag in etags or etag.removeprefix("W/") in etags


def _takes_gzip(header: str) -> bool:
    for part in header.lower().split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


class Gate:
    """What stands before the application: sizes, keys, an access log without keys."""

    def __init__(self, app: Any, keys: Keys) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        name = uuid.uuid4().hex[:16]
        status, sent = 0, 0

        async def noted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", name.encode())]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        raw = scope["query_string"]
        terms = [] if len(raw) > MAX_QUERY_BYTES else parse_qsl(raw.decode("latin-1"))
        given = _key(scope, terms)
        try:
            if len(raw) > MAX_QUERY_BYTES:
                text = f"the query has {len(raw):,} bytes; at most {MAX_QUERY_BYTES:,} are read"
                await error_response(414, text)(scope, receive, noted)
            elif scope["path"] not in _OPEN and not self._keys.admit(given):
                await error_response(401, "Unknown API Key")(scope, receive, noted)
            else:
                await self.app(scope, receive, noted)
        finally:
            client = (scope.get("client") or ("-",))[0]
            milliseconds = (time.perf_counter() - began) * 1_000
            access.info(
                "%s %s %s %d %d bytes %.1f ms %s",
                client,
                scope["method"],
                _shown(scope["path"], terms, given),
                status,
                sent,
                milliseconds,
                name,
            )


def _key(scope: Scope, terms: list[tuple[str, str]]) -> str | None:
    """Return the key that a request names: by header, else in its query."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = str(value, "latin-1").partition(" ")
            if scheme.lower() == "bearer" and key.strip():
                return key.strip()
    return next((value for name, value in terms if name.lower() == "apikey"), None)


def _shown(path: str, terms: list[tuple[str, str]], key: str | None) -> str:
    """Return what the log shows of an address: no key, wherever it stands, and no long text."""
    shown_terms = [(n, v) for n, v in terms if n.lower() != "apikey"]
    text = urlencode({"": path}, safe="/")[1:] + (
        f"?{urlencode(shown_terms)}" if shown_terms else ""
    )
    if key:
        text = text.replace(urlencode({"": key})[1:], "…")
    return text if len(text) <= _LOGGED_CHARACTERS else text[:_LOGGED_CHARACTERS] + "…"
