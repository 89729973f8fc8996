"""The client of EDGAR through its real session, against the sandbox's EDGAR."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pytest

from polygon_fundamentals.errors import (
    EdgarIdentityError,
    EdgarUnreachableError,
    InterruptedRequestError,
    UsageError,
)
from polygon_fundamentals.http.connections import WATCH
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference import edgar_cache
from polygon_fundamentals.reference.edgar import FACTS_ZIP, Edgar, EdgarLimit
from polygon_fundamentals.reference.edgar_cache import EdgarCache, ask, reports_of
from polygon_fundamentals.settings import load_edgar_settings
from sandbox import Sandbox
from tests.builders.edgar import Clock, settings

IDENTITY = "Jane Doe jane@example.com"
DAY = date(2026, 7, 1)
CIKS = [f"{9_000_000 + n:010d}" for n in range(4)]
NOBODY = "0000000001"


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with Sandbox(companies=4) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    served.forget_requests()
    served.edgar.forget_answers()
    served.edgar.per_second = 10_000  # most tests' clock moves by sleeping alone
    monkeypatch.setenv("EDGAR_IDENTITY", IDENTITY)
    monkeypatch.setenv("EDGAR_DATA_URL", served.url)
    monkeypatch.setenv("EDGAR_BASE_URL", served.url)
    return served


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.prepare()
    return lake


def client(lake: Lake, clock: Clock, who: str | None = None) -> Edgar:
    ours = settings() if who is None else replace(settings(), identity=who)
    limit = EdgarLimit(lake, ours, clock=clock, sleep=clock.sleep)
    return Edgar(ours, limit, sleep=clock.sleep)


def test_who_asks_stands_in_the_user_agent_and_nowhere_else(
    sandbox: Sandbox, lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    edgar = client(lake, Clock())
    sandbox.edgar.answer_next("unavailable")
    assert edgar.company_facts(CIKS[0])
    assert ask(EdgarCache(lake), edgar, CIKS, DAY, with_facts=True).note is None
    for request in sandbox.requests:
        assert request.headers["user-agent"] == IDENTITY
        assert "authorization" not in request.headers
        assert "jane" not in request.path
        assert request.query == {}
    assert "jane" not in caplog.text
    assert "jane" not in repr(settings())
    files = [path for path in lake.root.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not any(b"jane" in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    "identity", ["Max Roe", "max@roe.example", "https://roe.example max@roe.example", "x y@z"]
)
def test_an_identity_without_name_and_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    monkeypatch.setenv("EDGAR_IDENTITY", identity)
    with pytest.raises(UsageError, match="a name and an e-mail address") as told:
        load_edgar_settings()
    assert identity not in str(told.value)


def test_without_identity_there_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGAR_IDENTITY", "  ")
    assert load_edgar_settings() is None


def test_an_address_that_is_none_is_refused(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGAR_DATA_URL", "data.sec.gov")
    with pytest.raises(UsageError, match="EDGAR_DATA_URL: base URL"):
        load_edgar_settings()


def test_an_undeclared_agent_is_a_fault_of_the_configuration(sandbox: Sandbox, lake: Lake) -> None:
    edgar = client(lake, Clock(), who="python-requests/2.32")
    for _ in range(2):
        with pytest.raises(EdgarIdentityError, match="set EDGAR_IDENTITY to your own name"):
            edgar.submissions(CIKS[0])
    assert sandbox.request_count == 1  # it is not asked again


@pytest.mark.parametrize("answer", ["too_fast", "too_many"])
def test_too_many_requests_pause_everybody_for_ten_minutes(
    sandbox: Sandbox, lake: Lake, answer: str
) -> None:
    clock = Clock()
    started = clock.now
    edgar, other = client(lake, clock), client(lake, clock)
    sandbox.edgar.answer_next(answer)
    assert edgar.submissions(CIKS[0])
    assert 600 <= clock.now - started < 605
    assert sandbox.request_count == 2
    # Another run on this lake waits too, and what was asked meanwhile begins the pause anew.
    EdgarLimit(lake, settings(), clock=clock).pause()
    paused = clock.now
    assert other.submissions(CIKS[1])
    assert 600 <= clock.now - paused < 605


def test_a_second_refusal_after_the_pause_is_final_and_names_both_causes(
    sandbox: Sandbox, lake: Lake
) -> None:
    clock = Clock()
    started = clock.now
    edgar = client(lake, clock)
    sandbox.edgar.answer_next("too_fast", times=2)
    with pytest.raises(EdgarUnreachableError, match="another program at this address") as told:
        edgar.submissions(CIKS[0])
    assert "EDGAR_IDENTITY" in str(told.value)
    assert 600 <= clock.now - started < 605
    with pytest.raises(EdgarUnreachableError):
        edgar.submissions(CIKS[1])
    assert sandbox.request_count == 2


def test_what_edgar_does_not_have_is_nothing(sandbox: Sandbox, lake: Lake) -> None:
    edgar = client(lake, Clock())
    assert edgar.company_facts(NOBODY) is None
    assert edgar.submissions(NOBODY) is None
    assert edgar.older_page(f"CIK{NOBODY}-submissions-001.json") is None
    sandbox.edgar.answer_next("access_denied")
    assert not edgar.download(FACTS_ZIP, lake.root / "facts.zip")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("blocked", "answered 403, perhaps because of this network's address"),
        ("moved", "answered 302"),
    ],
)
def test_other_answers_leave_edgar_not_reachable(
    sandbox: Sandbox, lake: Lake, answer: str, words: str
) -> None:
    sandbox.edgar.answer_next(answer)
    with pytest.raises(EdgarUnreachableError, match=f"not reachable: .*{words}"):
        client(lake, Clock()).submissions(CIKS[0])
    assert sandbox.request_count == 1


def test_a_passing_fault_is_tried_again_and_a_lasting_one_ends_it(
    sandbox: Sandbox, lake: Lake
) -> None:
    edgar = client(lake, Clock())
    sandbox.edgar.answer_next("unavailable", times=2)
    assert edgar.submissions(CIKS[0])
    sandbox.edgar.answer_next("unavailable", times=9)
    for cik in CIKS[:3]:
        with pytest.raises(EdgarUnreachableError, match="answered 503"):
            edgar.submissions(cik)
    asked = sandbox.request_count
    with pytest.raises(EdgarUnreachableError):
        edgar.submissions(CIKS[3])
    assert sandbox.request_count == asked == 12


def test_a_server_that_is_not_there_is_a_normal_state(lake: Lake, sandbox: Sandbox) -> None:
    ours = replace(settings(), data=replace(settings().data, base_url="http://127.0.0.1:9"))
    clock = Clock()
    edgar = Edgar(ours, EdgarLimit(lake, ours, clock=clock, sleep=clock.sleep), sleep=clock.sleep)
    report = ask(EdgarCache(lake), edgar, CIKS, DAY, with_facts=True)
    assert report.note is not None
    assert "SEC EDGAR is not reachable" in report.note
    assert EdgarCache(lake).facts(CIKS[0]) is None


def test_an_answer_that_cannot_be_read_costs_one_company(sandbox: Sandbox, lake: Lake) -> None:
    cache = EdgarCache(lake)
    sandbox.edgar.answer_next("no_json")
    report = ask(cache, client(lake, Clock()), CIKS, DAY, with_facts=True)
    assert report.note is not None
    assert "1 answers of SEC EDGAR cannot be read" in report.note
    assert sum(cache.facts(cik) is not None for cik in CIKS) == 3


def test_a_day_asks_once_and_facts_are_asked_for_after_a_new_report_only(lake: Lake) -> None:
    with Sandbox(companies=1, today=date(2026, 7, 1)) as own:
        own.edgar.per_second = 10_000
        with pytest.MonkeyPatch.context() as environment:
            for name in ("EDGAR_DATA_URL", "EDGAR_BASE_URL"):
                environment.setenv(name, own.url)
            environment.setenv("EDGAR_IDENTITY", IDENTITY)
            cache, edgar = EdgarCache(lake), client(lake, Clock())

        def asked(day: date) -> list[str]:
            own.forget_requests()
            ask(cache, edgar, CIKS[:1], day, with_facts=True)
            return [request.path.split("/")[1] for request in own.requests]

        # 69 reports, notices and all: 60 in the answer itself, the others on an older page.
        assert asked(date(2026, 7, 1)) == ["submissions", "submissions", "api"]
        assert asked(date(2026, 7, 1)) == []
        assert asked(date(2026, 7, 2)) == ["submissions"]
        before = cache.facts(CIKS[0])
        own.advance(60)
        assert asked(date(2026, 8, 30)) == ["submissions", "submissions", "api"]
        after = cache.facts(CIKS[0])
        assert before is not None
        assert after is not None
        assert after.rows.num_rows > before.rows.num_rows
        filings = cache.filings(CIKS[0])
        assert filings is not None
        assert len(set(filings.rows["accession"].to_pylist())) == filings.rows.num_rows > 65


@pytest.mark.slow
def test_the_nightly_zips_hold_the_same(
    sandbox: Sandbox, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    singly = EdgarCache(lake)
    ask(singly, client(lake, Clock()), [*CIKS, NOBODY], DAY, with_facts=True)
    other = Lake(tmp_path / "other")
    other.prepare()
    monkeypatch.setattr(edgar_cache, "ARCHIVES_FROM", 2)
    sandbox.forget_requests()
    whole = EdgarCache(other)
    report = ask(whole, client(other, Clock()), [*CIKS, NOBODY], DAY, with_facts=True)
    assert (report.note, report.requests) == (None, 2)
    assert [r.path.rsplit("/", 1)[1] for r in sandbox.requests] == [
        "companyfacts.zip", "submissions.zip",
    ]  # fmt: skip
    for cik in CIKS:
        for read in ("facts", "filings"):
            one, two = getattr(singly, read)(cik), getattr(whole, read)(cik)
            assert one.rows.equals(two.rows)
    nobody = whole.filings(NOBODY)
    assert nobody is not None
    assert nobody.note.nothing
    assert not list(whole.folder.glob("zips-*"))
    # Nothing is fetched that was asked for on this day, and one answer a company on the next one.
    report = ask(whole, client(other, Clock()), [*CIKS, NOBODY], DAY, with_facts=True)
    assert (report.note, report.requests) == (None, 0)
    monkeypatch.setattr(edgar_cache, "ARCHIVES_FROM", 3)
    report = ask(
        whole, client(other, Clock()), [*CIKS, NOBODY], DAY + timedelta(days=1), with_facts=True
    )
    assert (report.note, report.requests) == (None, 5)


def test_a_zip_in_which_a_bit_was_flipped_leaves_edgar_not_reachable(
    sandbox: Sandbox, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edgar_cache, "ARCHIVES_FROM", 2)
    download = Edgar.download

    def damaged(self: Edgar, address: str, path: Path) -> bool:
        there = download(self, address, path)
        with path.open("r+b") as file:
            file.seek(40 + len(path.name))
            file.write(b"\xff" * 8)
        return there

    monkeypatch.setattr(Edgar, "download", damaged)
    report = ask(EdgarCache(lake), client(lake, Clock()), CIKS, DAY, with_facts=True)
    assert report.note is not None
    assert "a nightly zip is damaged" in report.note


def test_damaged_zips_leave_edgar_not_reachable(
    sandbox: Sandbox, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edgar_cache, "ARCHIVES_FROM", 2)
    sandbox.edgar.answer_next("no_json", times=2)
    report = ask(EdgarCache(lake), client(lake, Clock()), CIKS, DAY, with_facts=True)
    assert report.note is not None
    assert "a nightly zip is damaged" in report.note
    sandbox.edgar.answer_next("access_denied")
    report = ask(EdgarCache(lake), client(lake, Clock()), CIKS, DAY, with_facts=True)
    assert report.note is not None
    assert "companyfacts.zip is not there" in report.note


def test_a_damaged_file_of_the_cache_counts_as_none(sandbox: Sandbox, lake: Lake) -> None:
    cache = EdgarCache(lake)
    ask(cache, client(lake, Clock()), CIKS[:1], DAY, with_facts=True)
    for path in cache.folder.rglob("*.parquet"):
        path.write_bytes(b"PAR1")
    assert (cache.facts(CIKS[0]), cache.filings(CIKS[0])) == (None, None)
    ask(cache, client(lake, Clock()), CIKS[:1], DAY, with_facts=True)
    assert cache.facts(CIKS[0]) is not None


class LostPages:
    """EDGAR itself, which answers older pages with an answer of the sandbox's `ANSWERS`."""

    def __init__(self, edgar: Edgar, sandbox: Sandbox, answer: str) -> None:
        self.edgar, self.sandbox, self.answer = edgar, sandbox, answer
        self.company_facts, self.submissions = edgar.company_facts, edgar.submissions

    def older_page(self, name: str) -> bytes | None:
        self.sandbox.edgar.answer_next(self.answer)
        return self.edgar.older_page(name)


@pytest.mark.parametrize("answer", ["no_such_key", "access_denied"])
def test_an_older_page_that_did_not_come_is_asked_for_again(
    sandbox: Sandbox, lake: Lake, tmp_path: Path, answer: str
) -> None:
    edgar = client(lake, Clock())
    cache, whole = EdgarCache(lake), EdgarCache(Lake(tmp_path / "whole"))
    whole.update(edgar, CIKS[0], DAY, with_facts=False)
    cache.update(LostPages(edgar, sandbox, answer), CIKS[0], DAY, with_facts=False)
    reports = reports_of(whole, CIKS[0])
    assert reports is not None
    assert len(reports_of(cache, CIKS[0]) or ()) < len(reports)
    cache.update(edgar, CIKS[0], DAY + timedelta(days=1), with_facts=False)
    assert reports_of(cache, CIKS[0]) == reports
    sandbox.forget_requests()
    cache.update(edgar, CIKS[0], DAY + timedelta(days=2), with_facts=False)
    assert sandbox.request_count == 1  # the page that came is not asked for again


@pytest.mark.parametrize("answer", ["no_such_key", "access_denied"])
def test_an_answer_of_nothing_takes_no_filing_and_no_fact_out(
    sandbox: Sandbox, lake: Lake, answer: str
) -> None:
    edgar, cache = client(lake, Clock()), EdgarCache(lake)
    ask(cache, edgar, CIKS[:1], DAY, with_facts=True)
    filings, facts = cache.filings(CIKS[0]), cache.facts(CIKS[0])
    assert filings is not None
    assert facts is not None
    sandbox.edgar.answer_next(answer)
    ask(cache, edgar, CIKS[:1], DAY + timedelta(days=1), with_facts=True)
    after = cache.filings(CIKS[0])
    assert after is not None
    assert after.rows.equals(filings.rows)
    assert (after.note.asked, after.note.nothing) == (DAY + timedelta(days=1), False)
    assert after.note.older_pages == filings.note.older_pages
    # The same of facts, which are asked for where the newest report is not among them.
    newest = filings.rows["accession"][-1]
    known = facts.rows.filter(pc.not_equal(facts.rows["accession"].cast("string"), newest))
    cache._write("facts", CIKS[0], replace(facts, rows=known))
    day = DAY + timedelta(days=2)
    edgar.submissions(CIKS[0])
    sandbox.forget_requests()

    class NoFacts(LostPages):
        def __init__(self) -> None:
            super().__init__(edgar, sandbox, answer)
            self.company_facts = self.without

        def without(self, cik: str) -> bytes | None:
            sandbox.edgar.answer_next(answer)
            return edgar.company_facts(cik)

    cache.update(NoFacts(), CIKS[0], day, with_facts=True)
    assert [r.path.split("/")[1] for r in sandbox.requests] == ["submissions", "api"]
    kept = cache.facts(CIKS[0])
    assert kept is not None
    assert kept.rows.num_rows == known.num_rows > 0
    assert (kept.note.asked, kept.note.nothing) == (day, False)


@pytest.mark.parametrize("cik", ["/../../../../../../escaped", "00000000\u0661\u0662", "123", ""])
def test_a_cik_that_is_not_ten_digits_asks_nothing_and_leads_nowhere(
    sandbox: Sandbox, lake: Lake, cik: str
) -> None:
    before = sorted(lake.root.parent.rglob("*"))
    report = ask(EdgarCache(lake), client(lake, Clock()), [cik], DAY, with_facts=True)
    assert (report.companies_asked, report.requests, report.note) == (0, 0, None)
    assert sandbox.request_count == 0
    assert sorted(lake.root.parent.rglob("*")) == before
    assert reports_of(EdgarCache(lake), cik) is None


@pytest.mark.slow
def test_three_processes_share_the_limit(sandbox: Sandbox, lake: Lake) -> None:
    """The server counts what arrives in any second, and refuses a ninth."""
    sandbox.edgar.busiest_second, sandbox.edgar.per_second = 0, 8
    script = textwrap.dedent(
        """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from polygon_fundamentals.lake import Lake
        from polygon_fundamentals.reference.edgar import Edgar, EdgarLimit
        from polygon_fundamentals.settings import load_edgar_settings
        ours, lake = load_edgar_settings(), Lake(Path(sys.argv[1]))
        edgar = Edgar(ours, EdgarLimit(lake, ours))
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(edgar.submissions, ["0000000001"] * int(sys.argv[2])))
        """
    )
    command = [sys.executable, "-c", script, str(lake.root), "12"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert sandbox.request_count == 36
    assert {request.status for request in sandbox.requests} == {404}
    assert sandbox.edgar.busiest_second == 8


def test_a_slot_rests_for_a_second_after_its_answer(sandbox: Sandbox, lake: Lake) -> None:
    """However long a request was on its way: a ninth could otherwise meet it at the server."""
    clock = Clock()
    limit = EdgarLimit(lake, settings(), clock=clock, sleep=clock.sleep)
    assert [limit.acquire() for _ in range(8)] == [0.0] * 8
    clock.sleep(30)
    answered = clock.now
    limit.release()
    limit.acquire()
    assert 1.0 < clock.now - answered < 1.1


def test_the_slots_of_a_killed_process_are_free_after_a_minute(
    sandbox: Sandbox, lake: Lake
) -> None:
    clock = Clock()
    limit = EdgarLimit(lake, settings(), clock=clock, sleep=clock.sleep)
    for _ in range(8):
        limit.acquire()
    assert 60 <= limit.acquire() < 61


def test_ctrl_c_ends_a_pause(sandbox: Sandbox, lake: Lake) -> None:
    """It is no fault of EDGAR's, so it is not said to be unreachable."""
    edgar = Edgar(settings(), EdgarLimit(lake, settings()))
    EdgarLimit(lake, settings()).pause()
    interrupt = threading.Timer(0.2, WATCH.stop)
    interrupt.start()
    try:
        with pytest.raises(InterruptedRequestError):
            edgar.submissions(CIKS[0])
    finally:
        interrupt.join()
        WATCH.resume()
    assert sandbox.request_count == 0


def test_a_cut_file_of_the_limit_and_a_clock_set_back_hold_nobody_up(
    sandbox: Sandbox, lake: Lake
) -> None:
    clock = Clock()
    limit = EdgarLimit(lake, settings(), clock=clock, sleep=clock.sleep)
    (lake.ops / "locks" / "rate-edgar.bin").write_bytes(b"cut")
    assert limit.acquire() == 0.0
    clock.now += 1e6
    limit.pause()
    clock.now -= 1e6
    assert 599 < limit.acquire() <= 600
