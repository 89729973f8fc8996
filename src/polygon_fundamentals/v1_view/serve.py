"""v1's API from the lake: `GET /vX/reference/financials` as the vendor answered it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from polygon_fundamentals.statements import V1_PATH
from polygon_fundamentals.v1_view.answers import Answer, Pages
from polygon_fundamentals.v1_view.docs_page import docs_page
from polygon_fundamentals.v1_view.gate import (
    Application,
    Gate,
    Receive,
    Scope,
    Send,
    error_response,
)
from polygon_fundamentals.v1_view.index import Index
from polygon_fundamentals.v1_view.query import BadQueryError, V1Query, problem_of
from polygon_fundamentals.v1_view.state import NotReadyError, UnreadableError

_HOST = re.compile(r"[A-Za-z0-9._~\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def make_app(index: Index, keys: Collection[str], public_url: str | None = None) -> Gate:
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
        base = public_url or _base(request.scope, request.headers)
        answer = pages.answer(request.scope["query_string"], query, base)
        return _response(answer, request.headers)

    @app.api_route("/health", methods=["GET", "HEAD"], summary="Whether the server answers")
    def health(response: Response) -> dict[str, object]:
        state, is_well = index.state, index.upkeep.is_well
        if not is_well:  # records are answered as they were; the log says why
            response.status_code = 503
        return {
            "status": "OK" if is_well else "ERROR",
            "tickers": len(state.tickers),
            "tickers_ready": len(state.shelves),
            "complete": state.is_complete,
            "tickers_full": sum(shelf.is_full for shelf in state.shelves.values()),
        }

    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()))

    for kind in (
        RequestValidationError,
        HTTPException,
        BadQueryError,
        NotReadyError,
        UnreadableError,
    ):
        app.add_exception_handler(kind, _refused)
    return Gate(KnownPages(app, pages, public_url), keys)


class KnownPages:
    """Answers at once with a page that was given before; all else is the application's."""

    def __init__(self, app: Application, pages: Pages, public_url: str | None) -> None:
        self._app = app
        self._pages = pages
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == V1_PATH and scope["method"] == "GET":
            headers = Headers(scope=scope)
            answer = self._pages.known(
                scope["query_string"], self._public_url or _base(scope, headers)
            )
            if answer is not None and _takes_gzip(headers):
                await _response(answer, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refused(_: Request, error: Exception) -> Response:
    """Return the answer that stands for an error."""
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


def _response(answer: Answer, asked: Headers) -> Response:
    """Return the answer to a request with some headers."""
    headers = {
        "ETag": answer.etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": "no-cache",
        "X-Generation": answer.generations,
    }
    if _is_known(asked.get("if-none-match"), answer.etag):
        return Response(status_code=304, headers=headers)
    if _takes_gzip(asked):
        headers["Content-Encoding"] = "gzip"
        return Response(answer.gzipped, headers=headers, media_type="application/json")
    return Response(answer.body, headers=headers, media_type="application/json")


def _base(scope: Scope, headers: Headers) -> str:
    """Return the address by which the client reached this server."""
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = scope.get("server") or ("127.0.0.1", 80)
        host = f"{name}:{port}"
    return f"{scope['scheme']}://{host}"


def _is_known(header: str | None, etag: str) -> bool:
    etags = [] if header is None else [part.strip() for part in header.split(",")]
    return "*" in etags or etag in etags or etag.removeprefix("W/") in etags


def _takes_gzip(headers: Headers) -> bool:
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
