"""Cutover and rollback against a real Prefect server: schedules as read back from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Running

from polygon_fundamentals.errors import AnswerIsNo, ApiError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.server import SWITCHED, TAG
from tasks.schedules import ServerSchedules
from tests.cutover_world import fill, run

STARTS = {"v1": True, "v2": False, "both": True}


@flow(name="cutover-test-load")
def load(generation: str, lake: str) -> None:
    """Stands for a load."""


@pytest.fixture
def deployed(lake: Lake) -> Iterator[Lake]:
    """A lake whose loads are deployed, each with a schedule; another lake's stands beside."""
    fill(lake)
    made = []
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(load)
        wanted = [(g, str(lake.root), a) for g, a in STARTS.items()]
        for generation, root, active in [*wanted, ("v1", "/another/lake", True)]:
            schedule = IntervalSchedule(interval=timedelta(days=1))
            made.append(
                client.create_deployment(
                    flow_id,
                    name=f"daily-{generation}-{len(made)}",
                    parameters={"generation": generation, "lake": root},
                    tags=[TAG],
                    schedules=[DeploymentScheduleCreate(schedule=schedule, active=active)],
                )
            )
        # Of another project: it names no lake, and is asked for none.
        other = {"generation": "v1"}
        made.append(client.create_deployment(flow_id, name="theirs", parameters=other))
        yield lake
        for deployment in made:
            with suppress(ObjectNotFound):
                client.delete_deployment(deployment)


def active(lake: str) -> dict[str, bool]:
    """Return generation → active, as the server says."""
    with get_client(sync_client=True) as client:
        return {
            d.parameters["generation"]: d.schedules[0].active
            for d in client.read_deployments()
            if d.parameters.get("lake") == lake
        }


def test_schedules_are_switched_and_put_back_on_the_server(deployed: Lake) -> None:
    root, schedules = str(deployed.root), ServerSchedules(deployed)
    assert active(root) == STARTS
    assert run(deployed, "cutover", schedules=schedules, checks=())["exit_code"] == 0
    assert active(root) == {"v1": False, "v2": True, "both": False}
    assert active("/another/lake") == {"v1": True}
    assert run(deployed, "rollback", schedules=schedules, checks=())["exit_code"] == 0
    assert active(root) == STARTS


def register(name: str, parameters: dict[str, str], *active: bool, tag: str = "load") -> None:
    """Register a deployment, also where one of that name is there, with its schedules."""
    daily = IntervalSchedule(interval=timedelta(days=1))
    with get_client(sync_client=True) as client:
        client.create_deployment(
            client.create_flow(load),
            name=name,
            parameters=parameters,
            tags=[TAG, tag],
            schedules=[DeploymentScheduleCreate(schedule=daily, active=on, slug=f"s{n}")
                       for n, on in enumerate(active)],
        )  # fmt: skip


def remove(schedules: ServerSchedules, *names: str) -> None:
    """Remove deployments."""
    with get_client(sync_client=True) as client:
        for entry in schedules.recorded() or ():
            if entry["deployment"] in names:
                with suppress(ObjectNotFound):
                    client.delete_deployment(UUID(entry["deployment_id"]))


def switched_variable() -> dict[str, bool]:
    """Return what the server has noted for the next deploy."""
    with get_client(sync_client=True) as client:
        variable = client.read_variable_by_name(SWITCHED)
    assert variable is not None
    assert isinstance(variable.value, dict)
    return {str(name): bool(active) for name, active in variable.value.items()}


@pytest.mark.slow
def test_parity_rests_with_v1(deployed: Lake) -> None:
    """After the cutover v2 goes on to restate what v1 has, so that every night would fail."""
    schedules = ServerSchedules(deployed)

    def nightly() -> list[bool]:
        there = schedules.recorded() or []
        return [e["active"] for e in there if e["deployment"] == "nightly"]

    register("nightly", {"lake": str(deployed.root)}, True, tag="parity")
    register("other", {"lake": "/another/lake"}, True, tag="parity")
    try:
        assert run(deployed, "cutover", schedules=schedules, checks=())["exit_code"] == 0
        assert (nightly(), switched_variable()["nightly"]) == ([False], False)
        assert "other" not in switched_variable()
        assert "nightly" in schedules.retire(("v1", "both"))
        assert run(deployed, "rollback", schedules=schedules, checks=())["exit_code"] == 0
        assert (nightly(), switched_variable()["nightly"]) == ([True], True)
    finally:
        remove(schedules, "nightly")
        remove(ServerSchedules(Lake(Path("/another/lake"))), "other")


@pytest.mark.slow
def test_of_two_schedules_each_is_put_back_as_it_was(deployed: Lake) -> None:
    root, schedules = str(deployed.root), ServerSchedules(deployed)

    def of_twice() -> list[tuple[str | None, bool]]:
        there = schedules.recorded() or []
        return sorted((e.get("slug"), e["active"]) for e in there if e["deployment"] == "twice")

    both = {"generation": "both", "lake": root}
    register("twice", both, True, False)
    try:
        assert run(deployed, "cutover", schedules=schedules, checks=())["exit_code"] == 0
        assert of_twice() == [("s0", False), ("s1", False)]
        assert switched_variable()["twice"] is False
        remove(schedules, "twice")
        register("twice", both, False, False)
        assert run(deployed, "rollback", schedules=schedules, checks=())["exit_code"] == 0
        assert of_twice() == [("s0", True), ("s1", False)]
        # The next deploy leaves each as `prefect.yaml` has it.
        assert "twice" not in switched_variable()
    finally:
        remove(schedules, "twice")


@pytest.mark.slow
def test_a_rollback_switches_deployments_that_were_registered_anew(deployed: Lake) -> None:
    root, schedules = str(deployed.root), ServerSchedules(deployed)
    before = schedules.recorded()
    assert before is not None
    assert run(deployed, "cutover", schedules=schedules, checks=())["exit_code"] == 0
    with get_client(sync_client=True) as client:
        for entry in before:
            if entry["generation"] != "v2":
                client.delete_deployment(UUID(entry["deployment_id"]))
    register("daily-v1-0", {"generation": "v1", "lake": root}, False)
    report = run(deployed, "rollback", schedules=schedules, checks=())
    assert (report["exit_code"], report["state"]) == (1, "open")
    assert "daily-both-2 should run, but has no schedule on the server; register" in str(report)
    register("daily-both-2", {"generation": "both", "lake": root}, False, False)
    report = run(deployed, "rollback", schedules=schedules, checks=())
    assert report["exit_code"] == 0
    words = report["steps"][-1]["detail"].removeprefix("active now: ").split(", ")
    assert sorted(words) == ["daily-both-2", "daily-v1-0"]
    now = {(e["deployment"], e["active"]) for e in schedules.recorded() or ()}
    assert now == {("daily-v1-0", True), ("daily-v2-1", False), ("daily-both-2", True)}
    remove(schedules, "daily-v1-0", "daily-both-2")


def test_a_flow_run_of_v1_in_progress_is_waited_for(deployed: Lake) -> None:
    schedules = ServerSchedules(deployed)
    with get_client(sync_client=True) as client:
        parameters = {"generation": "v1", "lake": str(deployed.root)}
        going = client.create_flow_run(load, parameters=parameters, state=Running(), tags=[TAG])
        assert schedules.running(("v1", "both")) == [going.name]

        def end(_: str) -> None:
            client.set_flow_run_state(going.id, Completed(), force=True)

        report = run(deployed, "cutover", schedules=schedules, checks=(), say=end)
    step = next(s for s in report["steps"] if s["name"] == "wait for running jobs")
    assert (report["exit_code"], step["detail"].startswith("waited")) == (0, True)


def test_runs_of_other_projects_are_not_waited_for_and_ours_are_on_any_page(
    deployed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pages.PAGE", 2)
    schedules = ServerSchedules(deployed)
    of_v1 = {"generation": "v1", "lake": str(deployed.root)}
    of_v2 = {"generation": "v2", "lake": str(deployed.root)}
    with get_client(sync_client=True) as client:
        deployment = next(d for d in client.read_deployments() if d.name == "daily-v1-0")
        # A run of a deployment has the deployment's tags. The newest stand on the first page.
        mine = client.create_flow_run_from_deployment(
            deployment.id, parameters=of_v1, state=Running()
        )
        others = [
            client.create_flow_run(load, parameters=of_v2, state=Running(), tags=[TAG])
            for _ in range(3)
        ]
        others += [
            client.create_flow_run(load, parameters=given, state=Running(), tags=["images"])
            for given in (of_v1, {"generation": "v1"})
        ]
        try:
            assert schedules.running(("v1", "both")) == [mine.name]
        finally:
            for going in (mine, *others):
                client.set_flow_run_state(going.id, Completed(), force=True)


def test_retired_deployments_are_paused_and_tagged(deployed: Lake) -> None:
    names = ServerSchedules(deployed).retire(("v1", "both"))
    assert sorted(names) == ["daily-both-2", "daily-v1-0"]
    with get_client(sync_client=True) as client:
        deployments = {d.name: (d.paused, d.tags) for d in client.read_deployments()}
    assert deployments["daily-v1-0"] == (True, [TAG, "retired"])
    assert deployments["daily-v2-1"] == (False, [TAG])


def test_a_server_that_does_not_answer_is_told_in_one_line(lake: Lake) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(ApiError, match="the Prefect server does not answer"),
    ):
        ServerSchedules(lake).recorded()


@pytest.mark.slow
def test_a_form_that_nobody_fills_in_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import cutover as module

    @flow(name="asks")
    def asks() -> str:
        return module.asked()

    monkeypatch.setattr(module, "APPROVAL_SECONDS", 1)
    with pytest.raises(AnswerIsNo, match=r"nobody approved within .* h; nothing was changed"):
        asks()
