"""What an endpoint answers: the page of a query, or the error envelope that applies."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .endpoints import ENDPOINTS, RATIOS, TICKERS, V1, V2
from .query import BadQueryError, Params, decode_cursor, next_url, parse_limit

if TYPE_CHECKING:
    from .core import Sandbox

FOREIGN_HOST = "http://evil.example"
_NOT_ENTITLED = (
    "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
_TOO_MANY = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your "
    "subscription to continue."
)
_GONE = (
    "This endpoint has been deprecated and is no longer available. "
    "Use /stocks/financials/v1 instead."
)


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def error(status: int, text: str, headers: dict[str, str] | None = None) -> Answer:
    """Return an error envelope; 403 and 404 call their text `message`, the others `error`."""
    word, key = {403: ("NOT_AUTHORIZED", "message"), 404: ("NOT_FOUND", "message")}.get(
        status, ("ERROR", "error")
    )
    record = {"status": word, "request_id": uuid.uuid4().hex, key: text}
    return Answer(status, json.dumps(record, separators=(",", ":")).encode(), headers or {})


def _key(query: Params, headers: Params) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    return query.get("apiKey") or query.get("apikey")


def decide(
    sandbox: Sandbox, path: str, query: dict[str, str], headers: Params, fault: str
) -> Answer:
    """Return the answer to a request, after the checks in the order that the real API has.

    `fault` is one of the rates of `Faults`, or empty.
    """
    if fault == "too_many":
        return error(429, _TOO_MANY)
    if fault == "retry_after":
        return error(429, _TOO_MANY, {"Retry-After": str(sandbox.dice.number(2))})
    if fault == "server_error":
        return error(500, "Internal server error")
    if fault == "unavailable":
        return error(503, "Service unavailable")
    if sandbox.api_key is not None and _key(query, headers) != sandbox.api_key:
        return error(401, "Unknown API Key")
    if not sandbox.allow_request():
        return error(429, _TOO_MANY, {"Retry-After": "1"})
    if path not in ENDPOINTS:
        return error(404, f"no route for {path}")
    generation = "v1" if path == V1.path else "v2" if path in (*V2, RATIOS.path) else None
    extra: dict[str, str] = {}
    if generation == "v1":
        extra = sandbox.sunset_headers()
        if sandbox.retired or sandbox.brownout():
            return error(410, _GONE, extra)
    if generation and generation not in sandbox.entitled:
        return error(403, _NOT_ENTITLED, extra)
    try:
        return _page(sandbox, path, query, fault, extra)
    except BadQueryError as refused:
        return error(400, str(refused), extra)


def _page(
    sandbox: Sandbox, path: str, query: dict[str, str], fault: str, extra: dict[str, str]
) -> Answer:
    params = {k: v for k, v in query.items() if k.lower() != "apikey"}
    offset = 0
    if "cursor" in params:
        params, offset = decode_cursor(params["cursor"])
    endpoint = ENDPOINTS[path]
    limit = parse_limit(params, endpoint)
    rows, more = sandbox.page(path, params, offset, limit)
    if path == V1.path and params.get("include_sources") == "true":
        rows = [_with_sources(data) for data in rows]
    if fault == "dup" and rows:
        again = sandbox.dice.number(len(rows))
        rows.insert(sandbox.dice.number(len(rows) + 1), rows[again])
    parts = [f'"status":"OK","request_id":"{uuid.uuid4().hex}"']
    if path in (V1.path, TICKERS.path):
        parts.append(f'"count":{len(rows)}')
    if more:
        host = {"host": FOREIGN_HOST} if fault == "foreign_next" else {}
        parts.append(f'"next_url":"{next_url(path, params, offset + limit, **host)}"')
    head = "{" + ",".join(parts) + ',"results":['
    return Answer(200, head.encode() + b",".join(rows) + b"]}", extra)


def _with_sources(data: bytes) -> bytes:
    """Return a v1 record with an xpath beside each value, as `include_sources` asks."""
    record = json.loads(data)
    for lines in record["financials"].values():
        for name, point in lines.items():
            point["xpath"] = f"//*[local-name()='{name}']"
    return json.dumps(record, separators=(",", ":")).encode()
