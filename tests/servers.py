"""Small servers that answer from a script: independent of the sandbox, for the client's tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """One request as the server saw it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """One answer to give; `cut` sends only so many bytes of the body, then closes."""

    status: int = 200
    body: bytes = b'{"status":"OK","results":[]}'
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


Script = Callable[[Asked], Answer]


@dataclass
class Served:
    """A running server."""

    url: str
    asked: list[Asked]


def results(rows: list[dict[str, Any]], **envelope: Any) -> Answer:
    """Return a good answer with these rows."""
    return Answer(body=json.dumps({"status": "OK", "results": rows, **envelope}).encode())


@contextmanager
def serving(script: Script) -> Iterator[Served]:
    """Serve a script on a loopback port."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            request = Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
            asked.append(request)
            answer = script(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            try:
                self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
            except ConnectionError:  # the client gave up waiting, as its test wants it to
                self.close_connection = True
            if answer.cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
