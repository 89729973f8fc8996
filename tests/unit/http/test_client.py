"""The client through its real session against scripted servers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from polygon_fundamentals import errors
from polygon_fundamentals.http import rate_limit
from polygon_fundamentals.http.client import FAILURES_UNTIL_ASKED, FAILURES_UNTIL_DOWN, Client
from polygon_fundamentals.settings import Settings
from polygon_fundamentals.statements import FILINGS_PATH, V1_PATH, Snapshot, Statement
from tests.servers import Answer, Asked, Script, results, serving

PATH = "/stocks/financials/v1/balance-sheets"
KEY = "secret-key-of-the-test"
QUICK = Settings(first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01, attempts=4)


def client_at(url: str, **changed: object) -> Client:
    return Client(Settings(**{**vars(QUICK), "base_url": url, **changed}), KEY)  # type: ignore[arg-type]


def in_turn(*answers: Answer) -> Script:
    """Return a script that gives the answers one after the other, the last one for good."""
    queue: Iterator[Answer] = iter(answers)
    last = answers[-1]
    return lambda _: next(queue, last)


GOOD = results([{"cik": "1"}])

PASSING = [
    Answer(429, b'{"status":"ERROR","error":"too many"}'),
    Answer(429, b"", {"Retry-After": "0"}),
    Answer(500, b"oops"),
    Answer(502, b""),
    Answer(503, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    Answer(200, b"<html>busy</html>"),
    Answer(200, GOOD.body, cut=9),
    Answer(200, b'{"results":[{"name":"\xff"}]}'),
    Answer(200, b'{"results":[{"cik":"1"}'),
    Answer(200, b"[]"),
    Answer(200, b'{"status":"OK"}'),
    Answer(200, b'{"results":[1]}'),
    Answer(200, GOOD.body, {"Content-Length": "5"}),  # and the true one
    Answer(410, b"", {"Sunset": "Fri, 09 Oct 2099 00:00:00 GMT"}),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda a: f"{a.status}-{a.body[:12]!r}")
def test_passing_faults_are_retried(fault: Answer) -> None:
    with serving(in_turn(fault, fault, GOOD)) as server:
        client = client_at(server.url)
        assert client.get(PATH, {}).results == [{"cik": "1"}]
        assert (client.counts.requests, client.counts.retries) == (3, 2)
        assert len(server.asked) == 3
        assert client.counts.brownouts == (2 if fault.status == 410 else 0)


FINAL = [
    (Answer(400, b'{"error":"bad limit"}'), errors.BadRequestError, "bad limit"),
    (Answer(401, b'{"error":"Unknown API Key"}'), errors.UnauthorizedError, "POLYGON_API_KEY"),
    (
        Answer(403, b'{"status":"NOT_AUTHORIZED","message":"upgrade"}'),
        errors.NotEntitledError,
        "plan",
    ),
    (Answer(404, b'{"status":"NOT_FOUND"}'), errors.NotFoundError, "--base-url"),
    (
        Answer(410, b"", {"Sunset": "Fri, 09 Oct 2020 00:00:00 GMT"}),
        errors.RetiredError,
        "since 2020-10-09",
    ),
    (Answer(410, b"", {"Sunset": "2020-10-09"}), errors.RetiredError, "since 2020-10-09"),
    (Answer(410, b""), errors.RetiredError, "no sunset date"),
    (
        Answer(400, b'{"error":"bad key Bearer ' + KEY.upper().encode() + b'"}'),
        errors.BadRequestError,
        r"bad key Bearer \(the API key\)",
    ),
    (
        # The cut at 200 characters goes through the key.
        Answer(418, b'{"message":"' + b"x" * 190 + KEY.encode() + b'"}'),
        errors.ApiError,
        r"x{190}\(the API k\b",
    ),
    (
        Answer(302, b"", {"Location": f"http://{KEY}.example/x"}),
        errors.ApiError,
        r"a redirect to \(the API key\)\.example",
    ),
    (Answer(302, b"", {"Location": "http://[::1/x"}), errors.ApiError, "a redirect to elsewhere"),
    (Answer(302, b"", {"Location": "http://evil.example/x"}), errors.ApiError, "evil.example"),
    (Answer(418, b""), errors.ApiError, "418"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), FINAL, ids=lambda v: str(v)[:24])
def test_final_answers_are_told_at_once_with_a_remedy(
    answer: Answer, kind: type[errors.ApiError], words: str
) -> None:
    with serving(in_turn(answer)) as server:
        with pytest.raises(kind, match=words) as caught:
            client_at(server.url).get(PATH, {"limit": "1"})
        assert len(server.asked) == 1
        assert "\n" not in str(caught.value)
        assert KEY[:9] not in str(caught.value).lower()
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("path", "status", "ending"),
    [
        (V1_PATH, 403, "change the plan, or load the other generation"),
        (V1_PATH, 410, "or --use-v2); the v1 records of your lake stay"),
        (Statement.CASH_FLOW.v2_path, 403, "change the plan, or load the other generation"),
        (Statement.CASH_FLOW.v2_path, 410, "one that knows what replaces it"),
        (FILINGS_PATH, 403, "change the plan, or run without --original-dates"),
        (FILINGS_PATH, 410, "Run without --original-dates; the dates that are known stay"),
        (Snapshot.RATIOS.v2_path, 403, "include this endpoint: change the plan"),
        ("/v3/reference/tickers", 403, "include this endpoint: change the plan"),
        ("/v3/reference/tickers", 410, "one that knows what replaces it"),
    ],
)
def test_the_remedy_is_one_for_the_endpoint(path: str, status: int, ending: str) -> None:
    with serving(in_turn(Answer(status, b""))) as server:
        with pytest.raises(errors.ApiError) as caught:
            client_at(server.url).get(path, {"limit": "1"})
        assert str(caught.value).endswith(ending)


def test_a_refused_key_is_asked_about_once_only() -> None:
    with serving(in_turn(Answer(401, b"{}"))) as server:
        client = client_at(server.url)
        for _ in range(3):
            with pytest.raises(errors.UnauthorizedError):
                client.get(PATH, {})
        assert len(server.asked) == 1
        with pytest.raises(errors.UnauthorizedError):
            client.get("/other", {})
        assert len(server.asked) == 2


@pytest.mark.parametrize("header", ["Sunset", "Retry-After"])
@pytest.mark.parametrize(
    "text",
    ["Thu, 01 Jan 99999999999 00:00:00 GMT", "9999-12-31T23:59:59-23:59", "soon", "nan", "\xff"],
)
def test_a_day_in_a_header_that_is_none_is_passed_over(header: str, text: str) -> None:
    with serving(in_turn(Answer(429, b"", {header: text}), GOOD)) as server:
        assert client_at(server.url).get(PATH, {}).results == [{"cik": "1"}]


def test_a_body_nested_too_deep_is_asked_for_once_and_told() -> None:
    body = b'{"results":[{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}"
    with serving(in_turn(Answer(200, body))) as server:
        with pytest.raises(errors.ContentError, match=r"limit=1 answered 200 .* nested too deep"):
            client_at(server.url).get(PATH, {"limit": "1"})
        assert len(server.asked) == 1


def test_a_number_beyond_float64_is_told_with_its_request() -> None:
    with serving(in_turn(Answer(200, b'{"results":[{"cik":"1","x":1e400}]}'))) as server:
        page = client_at(server.url).get(PATH, {"limit": "1"})
    assert page.row_ids == [{"cik": "1", "tickers": None, "filing_date": None}]
    with pytest.raises(errors.ContentError, match=r"a row of /.*limit=1 cannot be read"):
        print(page.results)


def test_a_host_that_no_name_server_takes_is_a_matter_of_configuration() -> None:
    with pytest.raises(errors.UsageError, match=r"not a valid address: check --base-url"):
        client_at("http://exa_mple..com").get(PATH, {})


def test_a_fault_that_lasts_fails_with_its_reason() -> None:
    with serving(in_turn(Answer(503, b""))) as server:
        with pytest.raises(errors.ApiError, match=r"503.*still after 4 tries") as caught:
            client_at(server.url).get(PATH, {})
        assert not isinstance(caught.value, errors.RetriableApiError)
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("single_row", "asked"),
    [
        (Answer(500, b""), FAILURES_UNTIL_ASKED + 1),
        # It answers for single rows only: 20 requests, and three times whether it is there.
        (GOOD, FAILURES_UNTIL_DOWN + 3),
        (Answer(400, b""), FAILURES_UNTIL_DOWN + 3),
    ],
    ids=["nothing", "a row", "a refusal"],
)
def test_when_the_api_is_down_the_rest_fails_without_asking(single_row: Answer, asked: int) -> None:
    def script(asked: Asked) -> Answer:
        return single_row if asked.query == {"limit": "1"} else Answer(500, b"")

    with serving(script) as server:
        client = client_at(server.url, attempts=1)
        for _ in range(FAILURES_UNTIL_DOWN + 9):
            with pytest.raises(errors.ApiError) as caught:
                client.get(PATH, {"cik": "1"})
        assert len(server.asked) == asked
        assert "requests in a row had failed" in str(caught.value)
        with pytest.raises(errors.ApiError):
            client.get("/another", {})
        assert len(server.asked) == asked + 1


def test_of_several_threads_one_finds_out_that_the_api_is_down() -> None:
    with serving(lambda asked: Answer(500, b"")) as server:
        client = client_at(server.url, attempts=2)

        def ask(number: int) -> None:
            with pytest.raises(errors.ApiError):
                client.get(PATH, {"cik": str(number)})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(60)))
        assert [a.query for a in server.asked].count({"limit": "1"}) == 2
        # Seven more may be under way when the fifth fails.
        assert len(server.asked) <= 2 * (FAILURES_UNTIL_ASKED + 7) + 2


def test_nobody_there_is_an_api_error_with_a_reason() -> None:
    with pytest.raises(
        errors.ApiError, match=r"refused by 127\.0\.0\.1:\d+: is POLYGON_BASE_URL right"
    ):
        client_at("http://127.0.0.1:9").get(PATH, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(
            "HTTPS_PROXY",
            "socks5://someone:password@127.0.0.1:9",
            marks=pytest.mark.skipif(find_spec("socks") is not None, reason="PySocks is here"),
        ),
        ("REQUESTS_CA_BUNDLE", "/no/such/file.pem"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_a_matter_of_configuration(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    for spared in ("NO_PROXY", "no_proxy"):  # a command that ran before spares this host its proxy
        monkeypatch.delenv(spared, raising=False)
    client = client_at("https://127.0.0.1:9")
    with pytest.raises(errors.UsageError, match=name) as caught:
        client.get(PATH, {"limit": "1"})
    assert client.counts.retries == 0
    assert "\n" not in str(caught.value)
    assert "password" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_no_answer_in_time_is_retried_and_then_told() -> None:
    def slow(_: Asked) -> Answer:
        import time

        time.sleep(0.2)
        return GOOD

    with serving(slow) as server, pytest.raises(errors.ApiError, match="no answer in time"):
        client_at(server.url, read_timeout=0.05, attempts=2).get(PATH, {})


def test_retry_after_is_honoured_up_to_the_maximum() -> None:
    waits: list[float] = []
    settings = Settings(**{**vars(QUICK), "longest_retry_after": 7.0})  # type: ignore[arg-type]
    answers = in_turn(
        Answer(429, b"", {"Retry-After": "3"}), Answer(429, b"", {"Retry-After": "900"}), GOOD
    )
    with serving(answers) as server:
        client = Client(
            Settings(**{**vars(settings), "base_url": server.url}),  # type: ignore[arg-type]
            KEY,
            sleep=waits.append,
        )
        client.get(PATH, {})
    assert [round(wait) for wait in waits] == [3, 7]


def test_pages_are_followed_by_path_and_query_only() -> None:
    def script(asked: Asked) -> Answer:
        if "cursor" in asked.query:
            return results([{"n": 2}])
        return results([{"n": 1}], next_url=f"https://evil.example{PATH}?cursor=abc&apiKey=leaked")

    with serving(script) as server:
        pages = list(client_at(server.url).pages(PATH, {"limit": "1"}))
    assert [row for page in pages for row in page.results] == [{"n": 1}, {"n": 2}]
    assert [asked.query for asked in server.asked] == [{"limit": "1"}, {"cursor": "abc"}]
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("next_url", "words"),
    [
        ("https://api.massive.com/v3/elsewhere?cursor=1", "outside the endpoint"),
        (f"https://api.massive.com{PATH}?cursor=same", "no end"),
        (f"https://api.massive.com{PATH}", "repeats"),
        (f"http://[::1{PATH}?cursor=1", "cannot be read"),
        ("?cursor=1", "next page is at /, outside"),
        (f"https://x/{KEY}/x?cursor=1", r"next page is at /\(the API key\)/x, outside"),
    ],
)
def test_a_cursor_that_leads_astray_ends_with_an_error(next_url: str, words: str) -> None:
    with (
        serving(lambda _: results([], next_url=next_url)) as server,
        pytest.raises(errors.PaginationError, match=words),
    ):
        list(client_at(server.url).pages(PATH, {}))
    assert len(server.asked) <= 2


def test_the_key_is_in_no_url_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(in_turn(Answer(500, b""), GOOD)) as server:
        client_at(server.url).get(PATH, {"tickers": "AAPL"})
    assert all(KEY not in str(asked.query) for asked in server.asked)
    assert caplog.records
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "key", ["", "se cret", "sec\nret", "s\u00e9cret", "s\u2019cret", "sec\x7fret"]
)
def test_no_client_holds_a_key_that_cannot_stand_in_a_header(key: str) -> None:
    with pytest.raises(errors.UsageError, match=r"^the API key is empty or holds ") as caught:
        Client(QUICK, key)
    assert "cret" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    with serving(in_turn(GOOD)) as server:
        Client(Settings(base_url=server.url), f" {KEY}\n").get(PATH, {})
    assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_netrc_does_not_take_the_place_of_the_key(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    netrc = Path(str(tmp_path)) / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(in_turn(GOOD)) as server:
        client_at(server.url).get(PATH, {})
    assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_rate_limit_is_waited_out_beyond_the_usual_tries() -> None:
    with serving(in_turn(*[Answer(429, b"")] * 9, GOOD)) as server:
        client = client_at(server.url)
        client.get(PATH, {})
        assert client.counts.retries == 9


def test_a_rate_limit_without_end_stops_at_the_deadline() -> None:
    with (
        serving(in_turn(Answer(429, b""))) as server,
        pytest.raises(errors.ApiError, match=r"429.*or 0 s; run again later"),
    ):
        client_at(server.url, deadline=0.05).get(PATH, {})


def queueing_client(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client whose every turn after the first comes later than its deadline."""
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 0.6)
    changed = {"base_url": url, "deadline": 0.5, "longest_retry_after": 0.3}
    settings = Settings(**{**vars(QUICK), **changed})  # type: ignore[arg-type]
    return Client(settings, KEY, rate_limit.FileRateLimit(folder / "rate.bin", 1))


def test_waiting_for_a_turn_uses_up_no_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(in_turn(Answer(500, b""), Answer(500, b""), GOOD)) as server:
        client = queueing_client(server.url, tmp_path, monkeypatch)
        assert client.get(PATH, {}).results == [{"cik": "1"}]
        assert client.counts.requests == 3


def test_the_deadline_counts_the_time_between_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(in_turn(Answer(429, b"", {"Retry-After": "1"}))) as server:
        client = queueing_client(server.url, tmp_path, monkeypatch)
        with pytest.raises(errors.ApiError, match=r"429.*or 0 s; run again later"):
            client.get(PATH, {})
        assert len(server.asked) == 2
