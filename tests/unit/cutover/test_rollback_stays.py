"""A rollback leads readers to v1 and leaves them there, whatever fails after it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows import rollback as rollback_flow
from flows.parameters.switch import RollbackParameters
from flows.signature import body_of
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checklist import Checklist, ChecklistItem
from polygon_fundamentals.cutover.context import Options
from polygon_fundamentals.cutover.cut_off import cut_off
from polygon_fundamentals.cutover.operations import cutover, plan_of_cutover
from polygon_fundamentals.cutover.reader_checks import Check
from polygon_fundamentals.cutover.schedules import NoSchedules, Recorded
from polygon_fundamentals.errors import AnswerIsNo, ApiError, LakeError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.lake.pointer import leads_to, replace_link
from polygon_fundamentals.statements import Generation
from tests import cutover_world as world
from tests.cutover_world import QUICK, ROWS, FakeSchedules, FakeSilver, context, load_later, run

UNMET = Checklist((ChecklistItem("sign-offs", False, "missing", "sign again"),))


def ends(lake: Lake) -> tuple[str, str, dict[str, bool]]:
    """Return what readers of bronze and of silver see, and which schedules are active."""
    now = world.state(lake)
    return now["pointer"], now["silver"], now["schedules"]


BACK = ("v1", "v1", {"v1": True, "v2": False, "both": True})


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Check(name="files", command=("/opt/gone/python", "x.py")), "/opt/gone/python was not fou"),
        (Check(name="files", command=("/tmp", "x.py")), "/tmp cannot be run (Permission denied)"),
        (Check(name="files", command=("python3", "-Sc", "1/0")), "exited with 1: ZeroDivision"),
        (Check(name="files", command=("sleep", "5"), timeout=0.1), "took more than 0.1 s; make it"),
        (Check(name="files", command=("echo", "10" * 200)), "int too large to convert to float"),
    ],
)
def test_a_check_that_does_not_run(switched: Lake, check: Check, words: str) -> None:
    done = journals.last_done(switched, "cutover")
    assert done is not None
    done.facts["answers"] = {"files": 1.0, "rows": {"files": 18, "at": "y"}}
    done.write()
    report = run(switched, "rollback", checks=(check, ROWS.model_copy(update={"name": "rows"})))
    assert (report["exit_code"], report["state"], ends(switched)) == (1, "open", BACK)
    assert report["message"].startswith("readers see v1, but the rollback is not finished: verify")
    assert words in report["message"]
    assert report["message"].endswith("run the same command again, which continues)")
    if "too large" not in words:  # the other checks are asked all the same
        assert "readers' checks are met: 1 of 1 figures agree" in report["message"]
    said = cut_off(switched)
    assert said is not None
    assert said[0].endswith("UTC has not finished verify")
    report = run(switched, "rollback", checks=(ROWS,))
    assert (report["exit_code"], report["state"], ends(switched)) == (0, "done", BACK)
    assert cut_off(switched) is None


class Killed(BaseException):
    """What no step undoes, as a kill."""


class Interrupted(FakeSilver):
    """Silver whose build somebody interrupts."""

    def build(self, lake: Lake, generation: Generation) -> Path:
        """Interrupt."""
        raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["link replaced", "noted find silver", "noted verify"])
def test_ctrl_c_after_the_pointer_has_moved(switched: Lake, moment: str) -> None:
    def interrupt(name: str) -> None:
        if name == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="readers see v1 now"):
        run(switched, "rollback", checks=(), on_reached=interrupt)
    assert leads_to(switched) is Generation.V1
    assert run(switched, "rollback", checks=())["exit_code"] == 0
    assert ends(switched) == BACK


def test_ctrl_c_before_it_has_moved_puts_everything_back(switched: Lake) -> None:
    def interrupt(name: str) -> None:
        if name == "noted move pointer":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="readers see v2 now"):
        run(switched, "rollback", checks=(), on_reached=interrupt)
    assert (ends(switched)[:2], journals.unfinished(switched)) == (("v2", "v2"), None)


def test_silver_that_cannot_be_built(switched: Lake) -> None:
    load_later(switched)  # v1 changed since the cutover, so that its silver is built anew
    broken = FakeSilver(broken="v1")
    report = run(switched, "rollback", silver=broken)
    assert (report["exit_code"], report["state"]) == (1, "open")
    assert "find silver: part-0.parquet: Input/output error; existing" in report["message"]
    # What needs silver is left out; the schedules do not.
    assert ends(switched) == ("v1", "v2", BACK[2])
    names = [step["name"] for step in report["steps"]]
    assert names[-3:] == ["find silver", "record schedules", "schedules as they were"]
    with pytest.raises(KeyboardInterrupt, match="readers see v1 now"):
        run(switched, "rollback", silver=Interrupted())
    assert run(switched, "rollback")["exit_code"] == 0
    assert ends(switched) == BACK


@pytest.mark.parametrize("damage", ["gone", "unreadable"])
def test_what_became_of_v2s_silver_does_not_matter(switched: Lake, damage: str) -> None:
    (build,) = (switched.silver / "builds").glob("*-v2")
    (build / "part-0.parquet").write_bytes(b"not Parquet")
    if damage == "gone":
        shutil.rmtree(build)
    report = run(switched, "rollback")
    assert (report["exit_code"], ends(switched)) == (0, BACK)
    (detail,) = [step["detail"] for step in report["steps"] if step["name"] == "find silver"]
    assert ("whose schema cannot be read" in detail) == (damage == "unreadable")


class Down(FakeSchedules):
    """The schedules of a server that does not answer."""

    def recorded(self) -> Recorded:
        """Fail."""
        raise ApiError("the Prefect server does not answer; start it")


def test_a_journal_that_an_earlier_version_was_putting_back_is_finished(switched: Lake) -> None:
    server = Down(switched.root / "schedules.json")
    assert run(switched, "rollback", schedules=server)["exit_code"] == 1
    left = journals.unfinished(switched)
    assert left is not None
    left.turn_back("verify: check 'files' exited with 1")
    report = run(switched, "rollback")
    assert (report["exit_code"], report["state"], ends(switched)) == (0, "done", BACK)
    (journal,) = journals.journals(switched, "rollback")
    assert (journal.direction, journal.message) == ("forward", "done")


def test_a_cutover_after_it_asks_for_the_checklist(switched: Lake) -> None:
    server = Down(switched.root / "schedules.json")
    assert run(switched, "rollback", schedules=server)["exit_code"] == 1
    plan = plan_of_cutover(switched, UNMET, context(switched), Options())
    assert "rollback" in plan.message
    assert "not yet: sign-offs unmet" in plan.message
    asked = []

    def evaluate() -> Checklist:
        asked.append(1)
        return UNMET

    # As long as the rollback cannot be finished, nothing follows it.
    with pytest.raises(AnswerIsNo, match=r"readers see v1, but the rollback is not finished: sch"):
        cutover(switched, evaluate, context(switched, schedules=server), QUICK)
    assert (leads_to(switched), asked) == (Generation.V1, [])
    with pytest.raises(AnswerIsNo, match=r"the checklist is unmet \(sign-offs\)"):
        cutover(switched, evaluate, context(switched), replace(QUICK, force=None))
    assert (ends(switched), asked, journals.unfinished(switched)) == (BACK, [1], None)
    assert cutover(switched, evaluate, context(switched), QUICK).exit_code == 0
    assert ends(switched)[:2] == ("v2", "v2")


def test_a_server_that_is_not_configured_any_more(switched: Lake) -> None:
    """`--delayed` needs the server, or none: whoever unset it is told to set it again."""
    report = run(switched, "rollback", schedules=NoSchedules())
    assert (report["exit_code"], report["state"], ends(switched)[:2]) == (1, "open", BACK[:2])
    assert "schedules as they were: the cutover switched schedules of a Pref" in report["message"]
    said = cut_off(switched)
    assert said is not None
    assert said[0].endswith("; schedules that the cutover paused stay off until it is finished")
    assert run(switched, "rollback")["exit_code"] == 0
    assert ends(switched) == BACK


def test_a_copy_to_rehearse_on_leaves_the_servers_schedules_alone(switched: Lake) -> None:
    copy = NoSchedules("this is a copy to rehearse on", left_alone=True)
    assert run(switched, "rollback", schedules=copy)["exit_code"] == 0


@pytest.fixture
def given(switched: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RollbackParameters:
    """The words of `rollback --accept-stale --execute --readers FILE`; the file is empty."""
    server = FakeSchedules(switched.root / "schedules.json")
    monkeypatch.setattr("flows.switching.schedules_of", lambda lake: server)
    readers = tmp_path / "readers.toml"
    readers.write_text("")
    words = {"lake": str(switched.root), "execute": True, "accept_stale": True}
    return RollbackParameters(**words, readers=str(readers))


@pytest.mark.parametrize("cut_off_before", [False, True])
def test_v2_is_not_mounted(switched: Lake, given: RollbackParameters, cut_off_before: bool) -> None:
    v2 = switched.bronze / "fundamentals_v2"
    (v2 / "prices").mkdir()

    def kill(name: str) -> None:
        if name == "noted move pointer":
            raise Killed

    if cut_off_before:
        with pytest.raises(Killed):
            run(switched, "rollback", checks=(), on_reached=kill)
    v2.rename(switched.root / "unmounted")
    report = body_of(rollback_flow.rollback)(given)
    assert (report["exit_code"], report["pointer"], ends(switched)) == (1, "v1", BACK)
    assert f"is not finished: verify: {v2}/balance_sheets, {v2}/cash" in report["message"]
    assert not (switched.pointer / "prices").exists()
    (switched.root / "unmounted").rename(v2)
    report = body_of(rollback_flow.rollback)(given)
    assert (report["exit_code"], report["state"], ends(switched)) == (0, "done", BACK)
    assert (switched.pointer / "prices").is_dir()


def test_what_is_refused_while_v2_is_not_mounted(switched: Lake, given: RollbackParameters) -> None:
    v2 = switched.bronze / "fundamentals_v2"
    v2.rename(switched.root / "unmounted")
    plan = body_of(rollback_flow.rollback)(given.model_copy(update={"execute": False}))
    assert f"; readers can go back to it, but {v2}/balance_sheets, {v2}/cash" in plan["message"]
    for execute in (False, True):
        words = given.model_copy(update={"delayed": True, "execute": execute})
        with pytest.raises(LakeError, match="leads to fundamentals_v2, which is not there"):
            body_of(rollback_flow.rollback)(words)
    with pytest.raises(LakeError, match=r"mount it, .* meanwhile .*rollback --execute` leads read"):
        run(switched, "cutover", checks=())
    replace_link(switched.pointer, "fundamentals_v1_archive")
    with pytest.raises(LakeError, match=f"{v2}/balance_sheets, .* are not there, .* mount them"):
        run(switched, "cutover", checks=())
    with pytest.raises(LakeError, match=f"{v2}/balance_sheets, .* are not there, .* mount them"):
        check_layout(switched)


def test_a_mistake_in_the_file_of_checks(switched: Lake, given: RollbackParameters) -> None:
    assert given.readers
    readers = Path(given.readers)
    readers.write_text('[[check]]\nname = "x"\ncommand = ["true"]\ntimout = 5\n')
    report = body_of(rollback_flow.rollback)(given)
    assert (report["exit_code"], leads_to(switched)) == (1, Generation.V1)
    assert "verify: the readers' checks were not run: " in report["message"]
    assert "check.0.timout: is not a key of this file; correct the file" in report["message"]
    plan = body_of(rollback_flow.rollback)(given.model_copy(update={"execute": False}))
    assert "was cut off; --execute finishes or undoes it" in plan["message"]
    readers.write_text("")
    assert body_of(rollback_flow.rollback)(given)["exit_code"] == 0
