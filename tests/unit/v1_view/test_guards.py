"""What `serve-v1` refuses, and that it still answers."""

from __future__ import annotations

import gzip
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from flows.__main__ import main
from tests.conftest import KEY
from tests.processes import descendants
from tests.unit.v1_view.conftest import Pair
from tests.v1_server import BEARER, PATH, command, serving_v1


def raw(url: str, data: bytes) -> bytes:
    """Send bytes as they are; return all that comes back."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(data)
        pieces = []
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \xff".encode("latin-1")},
    ],
)
def test_a_wrong_key_is_refused(pair: Pair, headers: dict[str, Any]) -> None:
    answer = pair.server.get(headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == "Unknown API Key"
    assert answer.json()["status"] == "ERROR"
    assert answer.json()["request_id"]


def test_a_key_in_the_query_is_taken_and_never_logged(pair: Pair) -> None:
    assert pair.server.get(headers={}, apiKey=KEY, limit=1).status_code == 200
    assert pair.server.get(headers={}, apikey=KEY, limit=1).status_code == 200
    assert pair.server.get(headers={}, apiKey="a-wrong-key", limit=1).status_code == 401
    assert pair.server.get(company_name=f"is {KEY} there", limit=1).status_code == 200
    page = pair.server.get(headers={}, apiKey=KEY, limit=1).json()
    assert KEY not in page["next_url"]
    time.sleep(0.2)
    assert "company_name=" in pair.server.log
    assert KEY not in pair.server.log
    assert "a-wrong-key" not in pair.server.log


def test_the_keys_of_a_file_are_taken(pair: Pair, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    # With the mark that editors of Windows begin a file with.
    keys.write_text("first-key\n\n# of the research team\nsecond-key\n", encoding="utf-8-sig")
    with serving_v1(pair.lake.root, SERVE_V1_KEYS_FILE=str(keys), POLYGON_API_KEY="") as server:
        for key, status in (("first-key", 200), ("second-key", 200), (KEY, 401)):
            said = {"Authorization": f"Bearer {key}"}
            assert server.get(headers=said, ticker=pair.sandbox.tickers[0]).status_code == status
        assert "-key" not in server.log


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["--host", "0.0.0.0"], {"POLYGON_API_KEY": ""}, "set POLYGON_API_KEY or SERVE_V1_KEYS"),
        (["--host", "::"], {"POLYGON_API_KEY": ""}, "set POLYGON_API_KEY or SERVE_V1_KEYS"),
        (["--host", "nowhere.invalid"], {}, "cannot listen on"),
        (["--as-of", "2999-01-01"], {}, "is not over: today is"),
        ([], {"SERVE_V1_KEYS_FILE": "/nonexistent"}, "cannot be read (FileNotFoundError)"),
        ([], {"SERVE_V1_KEYS_FILE": "/dev/null"}, "has no key; write one per line"),
        (["--lake", "/nonexistent"], {}, "there is no lake at /nonexistent"),
    ],
)
def test_wrong_use_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    environment: dict[str, str],
    message: str,
) -> None:
    (tmp_path / "bronze").mkdir()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["serve-v1", "--port", "0", "--lake", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_port_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bronze").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve-v1", "--lake", str(tmp_path), "--port", port]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in said


@pytest.mark.parametrize(
    ("terms", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"order": "up"}, "order"),
        ({"sort": "ticker"}, "sort"),
        ({"timeframe": "weekly"}, "timeframe"),
        ({"filing_date": "2024-13-45"}, "filing_date"),
        ({"filing_date": "2024-W22-5"}, "filing_date"),
        ({"filing_date.gte": "1704067200"}, "filing_date.gte"),
        ({"period_of_report_date.lt": "20240101"}, "period_of_report_date.lt"),
        ({"include_sources": "perhaps"}, "include_sources"),
        ({"cursor": "%%%"}, "cursor"),
        ({"cursor": "eyJsaW1pdCI6MX0"}, "cursor"),
        ({"cursor": "eyJhcCI6MSwiYXMiOlsiYSJdLCJsaW1pdCI6MX0"}, ""),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    pair: Pair, terms: dict[str, str], parameter: str
) -> None:
    answer = requests.get(pair.server.url + PATH, terms, headers=BEARER, timeout=60)
    if not parameter:  # a cursor of another server whose place is before all records
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert answer.json()["status"] == "ERROR"
    assert answer.json()["error"].startswith(f"{parameter}: ")


@pytest.mark.parametrize(
    "path", ["/", "/vX/reference/financials/../../../etc/passwd", "/etc/passwd", "/v1/x", "//"]
)
def test_another_path_is_not_found(pair: Pair, path: str) -> None:
    said = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    answer = raw(pair.server.url, f"{said}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"status":"NOT_FOUND"' in answer


@pytest.mark.parametrize("ticker", ["../../../../etc/passwd", "a/b", "%00", "A" * 300, "\n", "é"])
def test_a_path_as_a_ticker_finds_nothing(pair: Pair, ticker: str) -> None:
    answer = pair.server.get(ticker=ticker)
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_writing_is_refused(pair: Pair) -> None:
    answer = requests.post(pair.server.url + PATH, headers=BEARER, timeout=60)
    assert (answer.status_code, answer.json()["status"]) == (405, "ERROR")


def test_a_long_query_is_refused(pair: Pair) -> None:
    answer = pair.server.get(company_name="a" * 5_000)
    assert answer.status_code == 414
    assert "at most 4,096 are read" in answer.json()["error"]
    head = b"GET " + PATH.encode() + b"?company_name=" + b"a" * 1_000_000
    refused = raw(pair.server.url, head)
    assert refused.startswith(b"HTTP/1.1 400 ")
    assert b"its head is longer than 64 KB" in refused
    assert pair.server.get(limit=1).status_code == 200


def test_a_thousand_slow_connections_keep_nobody_waiting(pair: Pair) -> None:
    parts = urlsplit(pair.server.url)
    slow: list[socket.socket] = []
    try:
        for _ in range(1_000):
            connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
            connection.sendall(b"GET /vX/reference/financials?limit=1 HTTP/1.1\r\nHost: ")
            slow.append(connection)
            if len(slow) % 250 == 0:
                assert pair.server.get(limit=1).status_code == 200
        # Those that waited longest were closed to make room.
        slow[0].settimeout(10)
        assert slow[0].recv(1) == b""
    finally:
        for connection in slow:
            connection.close()
    assert pair.server.get(limit=1).status_code == 200


@pytest.mark.slow
def test_a_head_that_never_ends_is_given_up(pair: Pair) -> None:
    parts = urlsplit(pair.server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        # The connection has 10 s for the head of a request, however busily it goes on.
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            drip(connection, 60)


def drip(connection: socket.socket, times: int) -> None:
    """Send a byte every half second."""
    for _ in range(times):
        connection.sendall(b"a")
        time.sleep(0.5)


def test_head_gzip_and_etag(pair: Pair) -> None:
    plain = pair.server.get(headers={**BEARER, "Accept-Encoding": "identity"}, limit=2)
    assert "Content-Encoding" not in plain.headers
    zipped = requests.get(
        pair.server.url + PATH,
        {"limit": 2},
        headers={**BEARER, "Accept-Encoding": "gzip"},
        stream=True,
        timeout=60,
    )
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.raw.read(decode_content=False)) == plain.content
    head = requests.head(
        pair.server.url + PATH,
        params={"limit": 2},
        headers={**BEARER, "Accept-Encoding": "identity"},
        timeout=60,
    )
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(plain.content))
    etag = plain.headers["ETag"]
    for said in (etag, f'"x", {etag}', "*", etag.removeprefix("W/")):
        known = pair.server.get(headers={**BEARER, "If-None-Match": said}, limit=2)
        assert (known.status_code, known.content) == (304, b"")
    assert pair.server.get(headers={**BEARER, "If-None-Match": etag}, limit=3).status_code == 200


def test_the_address_of_the_next_page_is_the_servers_own(pair: Pair) -> None:
    page = pair.server.get(limit=1).json()
    assert page["next_url"].startswith(f"{pair.server.url}{PATH}?cursor=")
    other = pair.server.get(headers={**BEARER, "Host": "lake.example:81"}, limit=1).json()
    assert other["next_url"].startswith(f"http://lake.example:81{PATH}?")
    bad = pair.server.get(headers={**BEARER, "Host": 'a"b'}, limit=1)
    assert bad.status_code == 400 or bad.json()["next_url"].startswith(pair.server.url)


def test_health_and_docs_need_no_key(pair: Pair) -> None:
    health = requests.get(f"{pair.server.url}/health", timeout=60).json()
    assert health["complete"] is True
    assert str(pair.lake.root) not in str(health)
    described = requests.get(f"{pair.server.url}/openapi.json", timeout=60).json()
    names = {p["name"] for p in described["paths"][PATH]["get"]["parameters"]}
    assert {"ticker", "filing_date.gte", "company_name.search", "period_of_report_date.lt"} <= names
    page = requests.get(f"{pair.server.url}/docs", timeout=60)
    assert page.status_code == 200
    assert all(f"<code>{name}</code>" in page.text for name in names)
    # Nothing is loaded from anywhere.
    assert re.findall(r'(?:src|href)="([^"]*)"', page.text) == ["openapi.json"]
    assert not re.search(r"<script|<link|url\(|@import", page.text)


def test_the_access_log_has_one_line_for_a_request(pair: Pair) -> None:
    pair.server.get(ticker="A\nB 200", limit=1)
    time.sleep(0.2)
    line = next(text for text in reversed(pair.server.lines) if "A%0AB" in text)
    assert re.fullmatch(
        r"\S+ 127\.0\.0\.1 GET /vX/reference/financials\?ticker=A%0AB\+200&limit=1 "
        r"200 \d+ bytes [\d.]+ ms [0-9a-f]{16}\n",
        line,
    )


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="Linux's /proc is not there"
)
def test_a_killed_server_leaves_no_process_behind(pair: Pair) -> None:
    process = subprocess.Popen(
        command("--lake", pair.lake.root),
        env={**os.environ, "POLYGON_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        assert "v1's API" in process.stdout.readline()
        until = time.monotonic() + 60
        # The worker that looks up the companies, and the one that clears up after it.
        while len(started := descendants(process.pid)) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert len(started) >= 2
        process.kill()
        process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in started):
        assert time.monotonic() < until, started
        time.sleep(0.1)
