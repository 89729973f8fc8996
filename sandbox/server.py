"""The HTTP side: keys, plans, retirement, faults, and the pages of an answer."""

from __future__ import annotations

import socket
import socketserver
import struct
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from .answers import Answer, decide
from .edgar import is_edgars

if TYPE_CHECKING:
    from .core import Sandbox

_KEPT_HEADERS = ("authorization", "user-agent", "accept", "accept-encoding", "host")
_HTML = b"<html><head><title>Sandbox</title></head><body>Please stand by</body></html>"


@dataclass(frozen=True)
class ServedRequest:
    """One request that reached the server; `status` 0 is a connection that it reset.

    `headers` holds authorization, user-agent, accept, accept-encoding and host where sent,
    by lower-case names. `fault` names the fault that the request met, or is empty.
    """

    at: datetime
    method: str
    path: str
    query: dict[str, str]
    status: int
    headers: dict[str, str]
    fault: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers GET requests of one connection, which stays open between them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    sandbox: Sandbox

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: served requests are kept in `Sandbox.requests`."""

    def do_GET(self) -> None:
        """Answer one request, with the fault that it meets."""
        sandbox = self.sandbox
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name: self.headers[name] for name in _KEPT_HEADERS if name in self.headers}
        fault = sandbox.dice.draw()
        if sandbox.latency:
            time.sleep(sandbox.latency)
        if is_edgars(parts.path):
            answer = sandbox.edgar.answer(parts.path, headers, fault)
        else:
            answer = decide(sandbox, parts.path, query, headers, fault)
        sandbox.note(
            at=datetime.now(UTC),
            path=parts.path,
            query=query,
            status=0 if fault == "reset" else answer.status,
            headers=headers,
            fault=fault,
        )
        if fault == "reset":
            self._reset()
        elif fault == "slow":
            time.sleep(sandbox.faults.slow_seconds)
            self._send(answer)
        elif fault == "truncate":
            self._send(answer, cut=True)
        elif fault == "html":
            self._send(Answer(200, _HTML, content_type="text/html; charset=utf-8"))
        else:
            self._send(answer)

    def _send(self, answer: Answer, cut: bool = False) -> None:
        lines = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
        ]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        body = answer.body[: len(answer.body) // 2] if cut else answer.body
        if cut:
            self.close_connection = True
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _reset(self) -> None:
        """Drop the connection with a reset instead of an orderly end."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.rfile.close()
        self.connection.close()


class Server(ThreadingHTTPServer):
    """A thread for each connection; ends them all when it is stopped."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, sandbox: Sandbox, host: str, port: int) -> None:
        handler = type("BoundHandler", (Handler,), {"sandbox": sandbox})
        super().__init__((host, port), handler)
        self._open: set[socket.socket] = set()

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "sandbox", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `drop_connections` can end it."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End one connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """End every open connection, idle ones too."""
        for request in list(self._open):
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that went away; anything else is shown by the base class."""
        if isinstance(sys.exception(), OSError | ValueError):
            return
        super().handle_error(request, client_address)
