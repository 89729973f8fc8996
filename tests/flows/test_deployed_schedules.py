"""Schedules that somebody set on the server stay as they are when `deploy` is run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, VariableUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from deployments import automations, declared, resources
from deployments.declared import PrefectFile
from deployments.steps import Step
from flows.commands import deploy
from polygon_fundamentals.cutover.schedules import with_active
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.server import LAST_SCHEDULES, SWITCHED
from tasks.schedules import ServerSchedules

FLOWS = {
    "daily-both": "daily-update",
    "daily-v2": "daily-update",
    "ratios-daily": "ratios",
    "verify-weekly": "verify",
}
STARTS = {"daily-both": True, "daily-v2": False, "ratios-daily": False, "verify-weekly": True}


class Server:
    """The tests' server with some deployments of prefect.yaml, and the file that declares them."""

    def __init__(self, client: SyncPrefectClient, file: PrefectFile) -> None:
        self.client, self.file = client, file

    def deployment(self, name: str) -> DeploymentResponse:
        return self.client.read_deployment_by_name(f"{FLOWS[name]}/{name}")

    def active(self) -> dict[str, bool]:
        """Return which deployments have an active schedule."""
        return {name: self.deployment(name).schedules[0].active for name in FLOWS}

    def set_active(self, name: str, active: bool) -> None:
        """Switch a schedule as the UI does, and `prefect deployment schedule resume`."""
        there = self.deployment(name)
        self.client.update_deployment_schedule(there.id, there.schedules[0].id, active=active)

    def declare(self, name: str, active: bool) -> None:
        """Edit `active` of a schedule in prefect.yaml."""
        deployments = [
            d.model_copy(
                update={"schedules": [s.model_copy(update={"active": active}) for s in d.schedules]}
            )
            if d.name == name
            else d
            for d in self.file.deployments
        ]
        self.file = self.file.model_copy(update={"deployments": deployments})

    def forget(self) -> None:
        """Remove what is on the server."""
        for name in FLOWS:
            with suppress(ObjectNotFound):
                self.client.delete_deployment(self.deployment(name).id)
        for name in (SWITCHED, LAST_SCHEDULES):
            with suppress(ObjectNotFound):
                self.client.delete_variable_by_name(name)


@pytest.fixture
def server(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    everything = declared.read()
    # Tests of other files share the server, so that the lake is named and little is deployed.
    few = [
        d.model_copy(update={"parameters": {**d.parameters, "lake": str(lake.root)}})
        for d in everything.deployments
        if d.name in FLOWS
    ]
    with get_client(sync_client=True) as client:
        made = Server(client, everything.model_copy(update={"deployments": few}))
        monkeypatch.setattr(declared, "read", lambda *_: made.file)
        monkeypatch.setattr(automations, "steps", lambda _: [])
        for name in ("limit", "secret"):
            monkeypatch.setattr(resources, name, lambda _, name=name: Step(name, (), list))
        monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
        made.forget()
        try:
            yield made
        finally:
            made.forget()


@pytest.fixture
def deployed(server: Server, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Deploy, and return what it prints, line by line."""

    def run() -> list[str]:
        assert deploy.run(deploy.DeployParameters(), False) == 0
        return capsys.readouterr().out.splitlines()

    run()
    assert server.active() == STARTS
    return run


def test_what_somebody_set_on_the_server_stays(
    server: Server, deployed: Callable[[], list[str]]
) -> None:
    for name in ("daily-v2", "ratios-daily"):
        server.set_active(name, True)
    server.set_active("daily-both", False)
    # The switch in the list of deployments of Prefect's UI.
    verify = server.deployment("verify-weekly")
    server.client.update_deployment(verify.id, DeploymentUpdate(paused=True))
    now = {"daily-both": False, "daily-v2": True, "ratios-daily": True, "verify-weekly": True}
    for _ in range(2):
        lines = deployed()
        assert lines[-1].startswith("0 of ")
        assert lines[-1].endswith("; all are as declared, but for 4 left as set on the server")
        assert (
            "  ratios/ratios-daily  (its schedule is active on the server and inactive in "
            "prefect.yaml; left active)"
        ) in lines
        assert (
            "  daily-update/daily-both  (its schedule is inactive on the server and active in "
            "prefect.yaml; left inactive)"
        ) in lines
        assert "  verify/verify-weekly  (it is paused on the server; left paused)" in lines
        assert server.active() == now
        assert server.deployment("verify-weekly").paused


@pytest.mark.slow
def test_what_changed_in_the_file_since_the_last_deploy_is_set(
    server: Server, deployed: Callable[[], list[str]]
) -> None:
    server.declare("ratios-daily", True)
    server.declare("daily-both", False)
    lines = deployed()
    assert [line for line in lines if line.startswith("! ")] == [
        "! daily-update/daily-both",
        "! ratios/ratios-daily",
        f"! variable {LAST_SCHEDULES}",
    ]
    assert server.active() == {**STARTS, "ratios-daily": True, "daily-both": False}
    assert deployed()[-1].startswith("0 of ")
    # Since then somebody switched one of them off.
    server.set_active("ratios-daily", False)
    assert deployed()[-1].startswith("0 of ")
    assert not server.active()["ratios-daily"]


def test_without_a_note_of_the_last_deploy_the_server_is_right(
    server: Server, deployed: Callable[[], list[str]]
) -> None:
    """As after the first deploy of this version on a server of before."""
    server.client.delete_variable_by_name(LAST_SCHEDULES)
    server.set_active("ratios-daily", True)
    lines = deployed()
    assert [line for line in lines if line.startswith("! ")] == [f"! variable {LAST_SCHEDULES}"]
    assert any("left active" in line for line in lines)
    assert server.active() == {**STARTS, "ratios-daily": True}
    assert deployed()[-1].startswith("0 of ")


@pytest.mark.slow
def test_what_a_cutover_switched_is_left_and_can_be_taken_back(
    server: Server, deployed: Callable[[], list[str]], lake: Lake
) -> None:
    schedules = ServerSchedules(lake)
    noted = schedules.recorded()
    assert noted
    schedules.apply(with_active(noted, {"v2": True, "v1": False, "both": False}))
    switched = {**STARTS, "daily-both": False, "daily-v2": True}
    assert server.active() == switched
    lines = deployed()
    assert lines[-1].startswith("0 of ")
    assert lines[-1].endswith("; all are as declared")
    assert sum("a cutover switched them" in line for line in lines) == 2
    assert server.active() == switched
    # Somebody wants both generations again; prefect.yaml and the cutover do not overrule that.
    server.set_active("daily-both", True)
    assert (
        "  daily-update/daily-both  (its schedule is active on the server and was made inactive by "
        "the last cutover or rollback; left active)"
    ) in deployed()
    server.set_active("daily-both", False)
    # A deployment that is gone comes back as the cutover left it.
    server.client.delete_deployment(server.deployment("daily-both").id)
    deployed()
    assert server.active() == switched
    server.client.update_variable(VariableUpdate(name=SWITCHED, value={}))
    deployed()
    assert server.active() == STARTS
    assert deployed()[-1].startswith("0 of ")


def test_without_a_deploy_since_the_cutover_it_can_be_taken_back_too(
    server: Server, deployed: Callable[[], list[str]], lake: Lake
) -> None:
    schedules = ServerSchedules(lake)
    schedules.apply(with_active(schedules.recorded() or [], {"v2": True, "both": False}))
    server.client.update_variable(VariableUpdate(name=SWITCHED, value={}))
    deployed()
    assert server.active() == STARTS
