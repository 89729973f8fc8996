"""An answer has an end, whatever the server does: real sockets, real sessions."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polygon_fundamentals.errors import (
    ApiError,
    ContentError,
    InterruptedRequestError,
    PaginationError,
)
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.http.connections import WATCH
from polygon_fundamentals.settings import Settings
from tests.servers import Answer, Asked, results, serving

ROOT = Path(__file__).parents[3]
PATH = "/stocks/financials/v1/balance-sheets"
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
UNSIZED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
HEADERS = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def trickling(first: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Serve `first` to everyone, then one byte every tenth of a second; yield address, reached."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended, reached = threading.Event(), threading.Event()

    def feed(peer: socket.socket) -> None:
        with peer:
            try:
                peer.recv(65536)
                peer.sendall(first)
                reached.set()
                while not ended.wait(0.1):
                    peer.sendall(b"x")
            except OSError:
                pass  # the client hung up, as it should

    def accept() -> None:
        while not ended.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=feed, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", reached
    finally:
        ended.set()
        listener.close()


def client_at(url: str, **changed: float) -> Client:
    settings = Settings(base_url=url, attempts=2, first_wait=0.001, longest_wait=0.002, **changed)  # type: ignore[arg-type]
    return Client(settings, "a-key")


@pytest.mark.parametrize("first", [BODY, UNSIZED, HEADERS], ids=["body", "unsized", "headers"])
def test_an_answer_that_trickles_ends_at_its_deadline(first: bytes) -> None:
    with trickling(first) as (url, _), pytest.raises(ApiError, match="no complete answer in 1 s"):
        client_at(url, answer_deadline=1.0).get(PATH, {})


def test_an_answer_in_time_is_left_alone() -> None:
    with serving(lambda _: results([{"n": 1}])) as server:
        client = client_at(server.url, answer_deadline=1.0)
        assert client.get(PATH, {}).results == [{"n": 1}]
        time.sleep(1.5)  # the connection stays open beyond the first answer's deadline
        assert client.get(PATH, {"b": "2"}).results == [{"n": 1}]
        assert client.counts.retries == 0


def test_an_interrupt_ends_a_read_and_a_wait_at_once() -> None:
    failures: list[BaseException] = []

    def ask(client: Client) -> None:
        try:
            client.get(PATH, {})
        except ApiError as error:
            failures.append(error)

    busy = Answer(503, b"", {"Retry-After": "60"})
    with trickling(BODY) as (url, reached), serving(lambda _: busy) as server:
        threads = [threading.Thread(target=ask, args=(client_at(u),)) for u in (url, server.url)]
        for thread in threads:
            thread.start()
        assert reached.wait(10)
        while not server.asked:
            time.sleep(0.01)
        try:
            WATCH.stop()
            for thread in threads:
                thread.join(10)
            assert not any(thread.is_alive() for thread in threads)
        finally:
            WATCH.resume()
    assert [type(error) for error in failures] == [InterruptedRequestError] * 2


def test_pages_of_the_same_rows_under_new_cursors_end_with_an_error() -> None:
    def script(asked: Asked) -> Answer:
        page = int(asked.query.get("cursor", "0"))
        return results([{"n": 1}], next_url=f"https://x{PATH}?cursor={page + 1}", request_id=page)

    with serving(script) as server, pytest.raises(PaginationError, match="rows of an earlier page"):
        list(client_at(server.url).pages(PATH, {}))
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"ERROR","error":"partial result","results":[{"n":1}]}',
        b'{"status":"ERROR","results":[]}',
        b'{"status":"OK","error":"partial result","results":[{"n":1}]}',
    ],
)
def test_an_error_in_the_body_of_a_200_is_no_answer(body: bytes) -> None:
    with (
        serving(lambda _: Answer(200, body)) as server,
        pytest.raises(ApiError, match="answered 200 with an error in its body"),
    ):
        client_at(server.url).get(PATH, {})


def test_no_word_of_the_server_acts_on_the_terminal() -> None:
    body = b'{"error":"\\u001b]0;owned\\u0007 \\u202etxt.exe \\u009b31m"}'
    with serving(lambda _: Answer(400, body)) as server, pytest.raises(ApiError) as caught:
        client_at(server.url).get(PATH, {})
    assert str(caught.value).isprintable()
    assert "owned" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_load_from_a_server_that_trickles(
    tmp_path: Path, number: signal.Signals
) -> None:
    lake, temporary = tmp_path / "lake", tmp_path / "temporary"
    temporary.mkdir()
    with trickling(BODY) as (url, reached):
        command = ["fundamentals", "AAPL", "--use-v2", "--lake", str(lake), "--base-url", url]
        child = subprocess.Popen(
            [sys.executable, "-m", "flows", *command],
            cwd=ROOT,
            env=os.environ | {"POLYGON_API_KEY": "a-key", "TMPDIR": str(temporary)},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert reached.wait(120)
        time.sleep(1)
        child.send_signal(number)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 130
    assert errors.strip().splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in errors
    assert list(temporary.iterdir()) == []
    (entry,) = (lake / "ops" / "runs").glob("*.json")
    assert '"outcome": "interrupted"' in entry.read_text()


@pytest.mark.parametrize("encoding", ["plain", "gzip"])
def test_an_answer_that_is_too_large_is_refused_and_not_held(encoding: str) -> None:
    body = b'{"status":"OK","results":[],"more":"' + b"x" * 50_000_000 + b'"}'
    headers = {"Content-Encoding": "gzip"} if encoding == "gzip" else {}
    sent = gzip.compress(body, 1) if encoding == "gzip" else body
    with serving(lambda _: Answer(200, sent, headers)) as server:
        client = Client(Settings(base_url=server.url, largest_answer=10_000_000), "key")
        with pytest.raises(ContentError, match=r"more than 10 MB.*check --base-url"):
            client.get(PATH, {})
        assert len(server.asked) == 1  # it would not be smaller the next time
        tracemalloc.start()
        try:
            with pytest.raises(ContentError):
                client.get(PATH, {})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 30_000_000
