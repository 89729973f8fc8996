"""What stands before the application of `serve-v1`: sizes, keys, an access log without keys."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from fastapi import Response

MAX_QUERY_BYTES = 4_096
_LOGGED_CHARACTERS = 300
_OPEN = ("/health", "/docs", "/openapi.json")

access = logging.getLogger("polygon_fundamentals.serve_v1.access")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def error_body(status: int, text: str) -> bytes:
    """Return the vendor's envelope of an error; 404 calls its text `message`."""
    word, key = ("NOT_FOUND", "message") if status == 404 else ("ERROR", "error")
    return orjson.dumps({"status": word, "request_id": uuid.uuid4().hex, key: text})


def error_response(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """Return an answer with the vendor's envelope of an error."""
    body = error_body(status, text)
    return Response(body, status, headers=headers, media_type="application/json")


class Gate:
    """An application that needs a key in each request, if there are keys.

    Keys are compared by their digests, and always with all of them, so that the time of an answer
    reveals nothing about a key.
    """

    def __init__(self, app: Application, keys: Collection[str]) -> None:
        self.app = app
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def _admits(self, given: str | None) -> bool:
        if not self._digests:
            return True
        digest = hashlib.sha256((given or "").encode("utf-8", "surrogateescape")).digest()
        matches = False
        for known in self._digests:
            matches |= hmac.compare_digest(known, digest)
        return matches and bool(given)

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
            elif scope["path"] not in _OPEN and not self._admits(given):
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
    """Return an address for the log, without the key and cut if it is long."""
    shown_terms = [(n, v) for n, v in terms if n.lower() != "apikey"]
    text = urlencode({"": path}, safe="/")[1:] + (
        f"?{urlencode(shown_terms)}" if shown_terms else ""
    )
    if key:
        text = text.replace(urlencode({"": key})[1:], "…")
    return text if len(text) <= _LOGGED_CHARACTERS else text[:_LOGGED_CHARACTERS] + "…"
