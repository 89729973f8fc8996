"""Cutover and rollback: what they do, and that a failed check undoes them."""

from __future__ import annotations

import os
import threading
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from polygon_fundamentals import ledger
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.operations import cutover, rollback
from polygon_fundamentals.cutover.reader_checks import Check, differences
from polygon_fundamentals.cutover.schedules import Recorded
from polygon_fundamentals.errors import AnswerIsNo, ApiError, LakeError
from polygon_fundamentals.lake import Lake, pointer
from polygon_fundamentals.statements import Generation
from tests.cutover_world import (
    QUICK,
    FakeSchedules,
    FakeSilver,
    at_later,
    context,
    fill,
    run,
    state,
)


@pytest.fixture
def filled(lake: Lake) -> Lake:
    return fill(lake)


def test_over_and_back(filled: Lake) -> None:
    start = state(filled)
    over = run(filled, "cutover")
    result = state(filled)
    assert (over["exit_code"], result["pointer"], result["silver"]) == (0, "v2", "v2")
    assert result["schedules"] == {"v1": False, "v2": True, "both": False}
    assert over["switch_seconds"] < 5.0
    back = run(filled, "rollback")
    result = state(filled)
    assert (back["exit_code"], result["pointer"], result["silver"]) == (0, "v1", "v1")
    assert result["schedules"] == {"v1": True, "v2": False, "both": True}
    assert (result["v1"], result["v2"]) == (start["v1"], start["v2"])
    assert run(filled, "rollback")["steps"] == []
    assert os.readlink(filled.pointer) == "fundamentals_v1_archive"


def test_the_move_is_one_call(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(filled, "cutover", checks=())["exit_code"] == 0
    calls = []
    real = os.replace

    def counted(source: Path, target: Path) -> None:
        calls.append(Path(target).name)
        real(source, target)

    monkeypatch.setattr(pointer.os, "replace", counted)
    pointer.point_to(filled, pointer.Generation.V1)
    assert calls == ["fundamentals"]


@pytest.mark.parametrize(
    ("silver", "code", "words"),
    [
        (FakeSilver(broken="v2"), 4, "Input/output error"),
        (FakeSilver(other_schema="v2"), 1, "another schema"),
    ],
)
def test_silver_that_fails_puts_everything_back(
    filled: Lake, silver: FakeSilver, code: int, words: str
) -> None:
    before = state(filled)
    result = run(filled, "cutover", silver=silver, checks=())
    assert (result["exit_code"], result["state"]) == (code, "undone")
    assert words in result["message"]
    after = state(filled)
    assert (after["pointer"], after["schedules"]) == ("v1", before["schedules"])
    assert (after["v1"], after["v2"]) == (before["v1"], before["v2"])
    assert journals.journals(filled)[-1].state == "undone"


def test_an_answer_that_differs_after_the_switch_rolls_back_by_itself(
    filled: Lake, tmp_path: Path
) -> None:
    script = tmp_path / "check.py"
    # Answers alike until the pointer itself is what it is asked about.
    script.write_text(
        "import json, os, sys\nprint(json.dumps({'link': os.path.islink(sys.argv[1])}))\n"
    )
    check = Check(name="link", command=("python3", "-S", str(script), "{bronze}"))
    before = state(filled)
    result = run(filled, "cutover", checks=(check,))
    assert (result["exit_code"], result["state"]) == (1, "undone")
    assert "verify: readers' checks disagree on the pointer: link.link" in result["message"]
    names = [step["name"] for step in result["steps"]]
    assert names[-3:] == [
        "put back: move silver",
        "put back: move pointer",
        "put back: pause schedules",
    ]
    after = state(filled)
    assert (after["pointer"], after["schedules"]) == ("v1", before["schedules"])
    journal = journals.journals(filled)[-1]
    assert (journal.state, journal.direction) == ("undone", "back")
    assert [s["name"] for s in journal.steps if s["state"] == "failed"] == ["verify"]


class Unforeseen(FakeSilver):
    """Silver that cannot be built for a reason that nobody thought of."""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Fail."""
        raise BrokenProcessPool("a worker was killed")


REFUSED = ConnectionRefusedError(111, "Connection refused", "server")
# Out of any float's range, but only through the pointer, once that leads to v2.
HUGE_LATER = (
    "import os, sys; p = sys.argv[1];"
    "print(10**400 if os.path.islink(p) and os.path.realpath(p).endswith('_v2') else 1)"
)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            "build silver",
            "build silver: BrokenProcessPool: a worker was killed; this was not expected",
        ),
        ("readers' checks", "readers' checks: TypeError: Integer exceeds 64-bit range; this"),
        (
            "verify",
            "verify: OverflowError: int too large to convert to float; this was not expected",
        ),
    ],
)
def test_an_error_that_nobody_foresaw_puts_everything_back_too(
    filled: Lake, step: str, words: str
) -> None:
    before = state(filled)
    silver = Unforeseen() if step == "build silver" else FakeSilver()
    code = HUGE_LATER if step == "verify" else "print(2**70)"
    check = Check(name="n", command=("python3", "-Sc", code, "{bronze}"))
    result = run(filled, "cutover", silver=silver, checks=(check,))
    assert (result["exit_code"], result["state"]) == (4, "undone")
    assert words in result["message"]
    after = state(filled)
    assert (after["pointer"], after["schedules"]) == ("v1", before["schedules"])
    (journal,) = journals.journals(filled)
    assert (journal.state, journal.direction) == ("undone", "back")
    assert [s["name"] for s in journal.steps if s["state"] == "failed"] == [step]


def test_what_cannot_be_put_back_for_no_foreseen_reason_is_left_to_the_next_call(
    filled: Lake,
) -> None:
    before = state(filled)
    odd = FakeSchedules(filled.root / "schedules.json")
    odd.apply = _twice_dead(odd, KeyError("active"))  # type: ignore[method-assign]
    result = run(filled, "cutover", schedules=odd, checks=())
    assert (result["exit_code"], result["state"]) == (4, "open")
    assert "not put back yet: pause schedules (KeyError: 'active'; this was" in result["message"]
    assert run(filled, "rollback", checks=())["exit_code"] == 0
    assert (state(filled)["schedules"], filled.primary) == (before["schedules"], "v1")


def test_a_server_that_dies_in_the_middle_is_mended_by_the_next_call(filled: Lake) -> None:
    run(filled, "cutover", checks=())
    run(filled, "rollback", checks=())
    before = state(filled)
    dying = FakeSchedules(filled.root / "schedules.json")

    dying.apply = _twice_dead(dying)  # type: ignore[method-assign]
    result = run(filled, "cutover", schedules=dying, checks=())
    assert (result["exit_code"], result["state"]) == (4, "open")
    assert "not put back yet: pause schedules" in result["message"]
    assert filled.primary == "v1"
    assert run(filled, "rollback", checks=())["exit_code"] == 0
    assert state(filled) == before
    assert run(filled, "cutover", checks=())["exit_code"] == 0


class Dead(FakeSchedules):
    """The schedules of a server that does not answer."""

    def recorded(self) -> Recorded:
        """Fail."""
        raise ApiError("the Prefect server does not answer; start it")


@pytest.mark.parametrize("following", ["rollback", "cutover"])
def test_readers_go_back_while_the_server_is_dead(filled: Lake, following: str) -> None:
    start = state(filled)
    run(filled, "cutover", checks=())
    switched = state(filled)
    for _ in range(2):
        dead = Dead(filled.root / "schedules.json")
        result = run(filled, "rollback", schedules=dead, checks=())
        assert (result["exit_code"], result["state"], filled.primary) == (1, "open", "v1")
        assert "schedules as they were: the Prefect server does not answer" in result["message"]
        assert "run the same command again, which continues" in result["message"]
        assert state(filled)["schedules"] == switched["schedules"]
    result = run(filled, following, checks=())
    assert result["exit_code"] == 0
    assert journals.unfinished(filled) is None
    if following == "rollback":
        wanted = {"pointer": "v1", "schedules": start["schedules"]}
    else:  # the rollback is finished, and a whole cutover follows it
        wanted = {"pointer": "v2", "schedules": switched["schedules"]}
    assert {name: state(filled)[name] for name in wanted} == wanted


def _twice_dead(  # type: ignore[no-untyped-def]
    schedules: FakeSchedules,
    error: Exception = REFUSED,
):
    real, calls = schedules.apply, [0]

    def apply(wanted: object) -> None:
        calls[0] += 1
        if calls[0] > 1:
            raise error
        real(wanted)  # type: ignore[arg-type]

    return apply


def test_running_jobs_are_waited_for(filled: Lake) -> None:
    busy = FakeSchedules(filled.root / "schedules.json", busy=[["daily v1"], ["daily v1"]])
    said: list[str] = []
    result = run(filled, "cutover", schedules=busy, checks=(), say=said.append)
    assert result["exit_code"] == 0
    assert said == ["waiting for daily v1"]
    assert (
        next(s for s in result["steps"] if s["name"] == "wait for running jobs")["seconds"] >= 1.0
    )


def test_the_postpone_file_holds_the_switch(filled: Lake, tmp_path: Path) -> None:
    file = tmp_path / "hold"
    file.touch()
    threading.Timer(0.7, file.unlink).start()
    options = replace(QUICK, postpone_file=file)
    result = cutover(filled, Checklist, context(filled, checks=()), options)
    assert result.exit_code == 0
    (seconds,) = [step.seconds for step in result.steps if step.name == "hold"]
    assert isinstance(seconds, float)
    assert seconds >= 0.5


def test_rollback_is_refused_when_v1_missed_days_or_is_gone(filled: Lake) -> None:
    run(
        filled,
        "cutover",
        checks=(),
        clock=lambda: datetime(2026, 6, 1, 15, tzinfo=UTC),
    )
    with pytest.raises(AnswerIsNo, match=r"missed 2 business days since .* \(2026-06-02 to"):
        rollback(filled, context(filled, checks=()), QUICK, [], date(2026, 6, 4))
    full = [date(2026, 6, 2), date(2026, 6, 3)]
    report = rollback(filled, context(filled, checks=()), QUICK, full, date(2026, 6, 4))
    assert report.exit_code == 0
    run(filled, "cutover", checks=())
    run(filled, "cleanup", checks=())
    with pytest.raises(LakeError, match="not there any more; bring it back with"):
        run(filled, "rollback", checks=())


@pytest.mark.parametrize(("generation", "builds"), [("v1", 3), ("v2", 2)])
def test_silver_is_built_anew_where_v1_was_loaded_since(
    filled: Lake, generation: str, builds: int
) -> None:
    run(filled, "cutover", checks=())
    parameters = {"generation": generation, "tickers": ["AAA"]}
    with ledger.recorded(ledger.Run(filled, "daily-update", parameters)):
        pass
    assert run(filled, "rollback", checks=())["exit_code"] == 0
    assert len(os.listdir(filled.silver / "builds")) == builds


def test_cleanup_and_restore_give_back_every_byte_and_time(filled: Lake) -> None:
    run(filled, "cutover", checks=())
    folder = filled.bronze / "fundamentals_v1_archive"
    times = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    before = state(filled)["v1"]
    done = run(filled, "cleanup", checks=())
    assert (done["exit_code"], folder.exists()) == (0, False)
    assert run(filled, "restore", checks=())["exit_code"] == 0
    assert state(filled)["v1"] == before
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == times


def test_cleanup_refuses_before_its_days_and_while_v1_is_primary(filled: Lake) -> None:
    with pytest.raises(AnswerIsNo, match="leads to v1, which readers still use"):
        run(filled, "cleanup", checks=())
    run(filled, "cutover", checks=())
    with pytest.raises(AnswerIsNo, match="v1's deployments are retired after 30 days"):
        run(filled, "cleanup", checks=(), clock=at_later(29))
    result = run(filled, "cleanup", checks=(), clock=at_later(31))
    assert [step["name"] for step in result["steps"]] == ["retire deployments"]
    assert (filled.bronze / "fundamentals_v1_archive").is_dir()


def test_cleanup_refuses_on_a_checksum_that_differs(filled: Lake) -> None:
    from polygon_fundamentals.cutover import checksums

    checksums.record(filled)
    run(filled, "cutover", checks=())
    victim = next((filled.bronze / "fundamentals_v1_archive").rglob("*.parquet"))
    data = victim.read_bytes()
    victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = run(filled, "cleanup", checks=())
    assert (result["exit_code"], result["state"]) == (4, "undone")
    assert "files of v1 are not what the recorded checksums say" in result["message"]
    assert victim.exists()
    assert not list((filled.root / "archive").glob("*"))


def test_a_damaged_archive_removes_nothing(filled: Lake) -> None:
    run(filled, "cutover", checks=())

    def damage(name: str) -> None:
        if name == "after write archive":
            tar = next((filled.root / "archive").glob("*.tar.zst"))
            data = bytearray(tar.read_bytes())
            data[len(data) // 2] ^= 0xFF
            tar.write_bytes(bytes(data))

    result = run(filled, "cleanup", checks=(), on_reached=damage)
    assert (result["exit_code"], result["state"]) == (4, "undone")
    assert (filled.bronze / "fundamentals_v1_archive").is_dir()


def test_differences_are_told_with_tolerance_and_exceptions() -> None:
    check = Check(name="c", command=("x",), tolerance=0.01, may_differ=("at",))
    old = {"c": {"n": 100.0, "at": 1, "rows": [1, 2]}}
    assert differences([check], old, {"c": {"n": 100.5, "at": 2, "rows": [1, 2]}}) == []
    assert differences([check], old, {"c": {"n": 102.0, "at": 2, "rows": [1]}}) == [
        "c.n: 100.0 became 102.0",
        "c.rows: [1, 2] became [1]",
    ]
