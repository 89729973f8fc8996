"""What `cutover`, `rollback` and `restore` print of their steps."""

from __future__ import annotations

from flows.commands.report_lines import switch_lines


def test_where_there_is_nothing_to_do_it_is_said_once() -> None:
    words = "the pointer leads to v1; nothing to do"
    step = {"name": "check", "ok": True, "detail": words}
    report = {"steps": [step], "message": words, "executed": False}
    assert list(switch_lines(report)) == [f"ok  check: {words}"]


def test_a_plan_says_that_nothing_was_changed() -> None:
    step = {"name": "parity", "ok": True, "detail": "passed"}
    report = {"steps": [step], "message": "ready", "executed": False, "plan": ["pause", "point"]}
    assert list(switch_lines(report))[1:] == [
        "what --execute does, in this order: pause, point",
        "ready; nothing was changed",
    ]
    assert list(switch_lines({**report, "executed": True}))[-1] == "ready"


def test_a_step_is_not_named_twice() -> None:
    words = "readers' checks are met: 1 of 1 figures agree"
    step = {"name": "readers' checks", "ok": True, "detail": words}
    assert list(switch_lines({"steps": [step], "message": "done"})) == [f"ok  {words}", "done"]
