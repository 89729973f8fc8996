"""Cutover and rollback against a real Prefect server: schedules as read back from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
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
                    schedules=[DeploymentScheduleCreate(schedule=schedule, active=active)],
                )
            )
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


def register(root: str, name: str, generation: str, schedules: int) -> None:
    """Register a deployment, also where one of that name is there, with schedules that are off."""
    daily = IntervalSchedule(interval=timedelta(days=1))
    with get_client(sync_client=True) as client:
        client.create_deployment(
            client.create_flow(load),
            name=name,
            parameters={"generation": generation, "lake": root},
            schedules=[DeploymentScheduleCreate(schedule=daily, active=False, slug=f"s{n}")
                       for n in range(schedules)],
        )  # fmt: skip


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
    register(root, "daily-v1-0", "v1", 1)
    report = run(deployed, "rollback", schedules=schedules, checks=())
    assert (report["exit_code"], report["state"]) == (4, "open")
    assert "daily-both-2 should run, but has no schedule on the server; register" in str(report)
    register(root, "daily-both-2", "both", 2)
    report = run(deployed, "rollback", schedules=schedules, checks=())
    assert report["exit_code"] == 0
    words = report["steps"][-1]["detail"].removeprefix("active now: ").split(", ")
    assert sorted(words) == ["daily-both-2", "daily-v1-0"]
    now = {(e["deployment"], e["active"]) for e in schedules.recorded() or ()}
    assert now == {("daily-v1-0", True), ("daily-v2-1", False), ("daily-both-2", True)}
    with get_client(sync_client=True) as client:
        for entry in schedules.recorded() or ():
            if entry["generation"] != "v2":
                with suppress(ObjectNotFound):
                    client.delete_deployment(UUID(entry["deployment_id"]))


def test_a_flow_run_of_v1_in_progress_is_waited_for(deployed: Lake) -> None:
    schedules = ServerSchedules(deployed)
    with get_client(sync_client=True) as client:
        parameters = {"generation": "v1", "lake": str(deployed.root)}
        going = client.create_flow_run(load, parameters=parameters, state=Running())
        assert schedules.running(("v1", "both")) == [going.name]

        def end(_: str) -> None:
            client.set_flow_run_state(going.id, Completed(), force=True)

        found = run(deployed, "cutover", schedules=schedules, checks=(), say=end)
    step = next(s for s in found["steps"] if s["name"] == "wait for running jobs")
    assert (found["exit_code"], step["detail"].startswith("waited")) == (0, True)


def test_retired_deployments_are_paused_and_tagged(deployed: Lake) -> None:
    names = ServerSchedules(deployed).retire(("v1", "both"))
    assert sorted(names) == ["daily-both-2", "daily-v1-0"]
    with get_client(sync_client=True) as client:
        found = {d.name: (d.paused, d.tags) for d in client.read_deployments()}
    assert found["daily-v1-0"] == (True, ["retired"])
    assert found["daily-v2-1"] == (False, [])


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
