"""The switch with a real server, worker and deployments, and with a server that dies in it.

Every test has its own lake and puts the schedules back; what the server says is read over HTTP.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from flows.runtime import serving
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.checksums import checksums
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.silver import links
from tests.server.world import ROOT, World, free_port, until

pytestmark = pytest.mark.slow
COMPANIES = 6
# v1 has a schedule of its own here, as those have who run the pipelines apart.
STARTS = {"daily-v1": True, "daily-both": True, "daily-v2": False, "parity-nightly": True}
SWITCHED = {"daily-v1": False, "daily-both": False, "daily-v2": True, "parity-nightly": False}
DAILY = {"daily-v1", "daily-both", "daily-v2"}
# A reader's check that stops where it is told to: beside the switch (before) or through the
# pointer (after), which is how a test meets the moment.
CHECK = """
import json, os, sys, time
from pathlib import Path
bronze, gate = sys.argv[1], Path(sys.argv[2])
now = "after" if os.path.islink(bronze) else "before" if bronze.endswith("_v2") else "no"
if (gate / f"stop {now}").exists():
    (gate / "reached").touch()
    while not (gate / "go").exists():
        time.sleep(0.05)
print(json.dumps({"statements": sorted(os.listdir(bronze))}))
"""


class Patient(World):
    """A world that asks again where SQLite was busy: 503, which Prefect's client repeats too."""

    def api(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Ask the server, for up to 30 s while it is busy."""
        until = time.monotonic() + 30
        while True:
            try:
                return super().api(path, body, method)
            except HTTPError as error:
                if error.code != 503 or time.monotonic() > until:
                    raise
            time.sleep(0.5)


@dataclass
class Power:
    """A server that can be killed and started again on its port and database."""

    folder: Path
    port: int = field(default_factory=free_port)
    running: ExitStack = field(default_factory=ExitStack)
    is_on: bool = False

    def on(self) -> serving.Serving:
        """Start the server."""
        self.running, self.is_on = ExitStack(), True
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "POLYGON"))}
        plain |= {"PREFECT_HOME": str(self.folder / "prefect"), "PREFECT_LOGGING_LEVEL": "INFO"}
        log = self.folder / "server.log"
        return self.running.enter_context(serving.server(self.port, log, plain))

    def cut(self) -> None:
        """Kill the server and what it started, as a power cut does."""
        wanted = ["--port", str(self.port)]
        found = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if _words(path)[-2:] == wanted
        ]
        assert found, "the server is running"
        self.is_on = False
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        self.running.close()


def _words(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return []


@pytest.fixture(scope="module")
def power(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Power]:
    made = Power(tmp_path_factory.mktemp("cutover"))
    yield made
    made.running.close()


@pytest.fixture(scope="module")
def served(power: Power) -> Iterator[World]:
    """A server with the deployments on it, and a lake of both generations to copy from."""
    from sandbox import Sandbox
    from tests.server.world import KEY, TODAY

    with Sandbox(companies=COMPANIES, seed=7, api_key=KEY, today=TODAY) as sandbox:
        made = Patient(power.folder, power.on(), sandbox, "sqlite")
        answer = made.run("deploy", POLYGON_REQUESTS_PER_MINUTE="600")
        assert answer.returncode == 0, answer.stderr
        words = ["--generation", "both", "--tickers", ",".join(sandbox.tickers)]
        answer = made.run("historical-load", *words, "--timeframe", "annual")
        assert answer.returncode == 0, answer.stderr
        yield made


@pytest.fixture
def lake(served: World, power: Power, tmp_path: Path) -> Lake:
    """A copy of the loaded lake, and the schedules as they are before a cutover."""
    if not power.is_on:  # a test that failed left it dead
        power.on()
    shutil.copytree(served.lake, tmp_path / "lake", symlinks=True)
    for name, active in STARTS.items():
        deployment = served.deployments()[name]
        place = f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
        served.api(place, {"active": active}, method="PATCH")
    assert schedules(served) == STARTS
    return Lake(tmp_path / "lake")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Where the readers' check stops, and the readers.toml that names it."""
    folder = tmp_path / "gate"
    folder.mkdir()
    (folder / "check.py").write_text(CHECK)
    command = json.dumps([sys.executable, "-S", str(folder / "check.py"), "{bronze}", str(folder)])
    (folder / "readers.toml").write_text(f'[[check]]\nname = "statements"\ncommand = {command}\n')
    return folder


def schedules(served: World) -> dict[str, bool]:
    """Return what the server says of the daily schedules."""
    found = served.deployments()
    return {name: found[name]["schedules"][0]["active"] for name in STARTS}


def flows(served: World, lake: Lake, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command on the lake; return exit code and report."""
    # As on a host whose workers load this lake.
    answer = served.run(*words, "--lake", str(lake.root), "--json", QUANTLAKE_ROOT=str(lake.root))
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def begun(served: World, lake: Lake, gate: Path, *words: str) -> subprocess.Popen[str]:
    """Begin a cutover, in the background."""
    command = ["cutover", "--execute", "--force", "test", "--json", "--lake", str(lake.root)]
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *command, "--readers", str(gate / "readers.toml"), *words],
        cwd=ROOT,
        env=served.environment(QUANTLAKE_ROOT=str(lake.root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def as_it_is(lake: Lake) -> tuple[str | None, str, bool]:
    """Return where the pointer leads, what silver is made of, and whether a journal is open."""
    build = links.linked_build(lake)
    assert build is not None
    kinds = set()
    for path in build.rglob("*.parquet"):
        import pyarrow.parquet as pq

        kinds |= set(pq.read_table(path, columns=["generation"], partitioning=None)[0].to_pylist())
    generation = leads_to(lake)
    silver = "v2" if kinds & {"v2", "v2+v1"} else "v1"
    return generation and generation.value, silver, journals.unfinished(lake) is not None


def data(lake: Lake) -> list[dict[str, str]]:
    """Return the checksums of both generations' data."""
    names = [os.path.realpath(lake.pointer), lake.bronze / "fundamentals_v2"]
    if lake.pointer.is_symlink():
        names[0] = str(lake.bronze / "fundamentals_v1_archive")
    return [checksums(Path(name)) for name in names]


def test_a_running_v1_flow_run_is_waited_for_and_the_schedules_are_switched(
    served: World, lake: Lake, gate: Path
) -> None:
    name = served.sandbox.tickers[0]
    written = [p.stat().st_mtime_ns for p in lake.pointer.rglob(f"ticker={name}.parquet")]
    for path in lake.pointer.rglob(f"ticker={name}.parquet"):
        path.unlink()
    assert written
    parameters = {
        "generation": "v1",
        "tickers": list(served.sandbox.tickers),
        "timeframes": ["annual"],
        "lake": str(lake.root),
        "resume": False,
    }
    identity = served.deployments()["history-v1"]["id"]
    with served.worker("waited"):
        served.sandbox.forget_requests()
        served.sandbox.latency = 25.0
        try:
            run = served.api(f"/deployments/{identity}/create_flow_run", {"parameters": parameters})
            tasks = {
                "flow_runs": {"id": {"any_": [run["id"]]}},
                "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}},
            }
            until(lambda: served.api("/task_runs/filter", tasks), 120, "a task under way")
            going = served.api(f"/flow_runs/{run['id']}", method="GET")
            assert going["state_type"] == "RUNNING"
            process = begun(served, lake, gate)
            assert process.stderr
            line = process.stderr.readline()
            assert line == f"waiting for {going['name']}\n", process.communicate()
            # Paused before the waiting begins, and nothing is switched meanwhile.
            assert schedules(served) == {**SWITCHED, "daily-v2": False}
            assert not lake.pointer.is_symlink()
        finally:
            served.sandbox.latency = 0.0
        out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    ended = served.api(f"/flow_runs/{run['id']}", method="GET")
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    report = json.loads(out)
    steps = {step["name"]: step for step in report["steps"]}
    assert steps["pause schedules"]["detail"] == "paused daily-both, daily-v1, parity-nightly"
    assert steps["wait for running jobs"]["detail"].startswith("waited ")
    journal = json.loads(Path(report["journal"]).read_text())
    moved = next(s["at"] for s in journal["steps"] if s["name"] == "adopt pointer")
    assert ended["end_time"].replace("Z", "+00:00") < moved
    # What the run wrote while it was waited for is in v1's folder, under its new name.
    found = list((lake.bronze / "fundamentals_v1_archive").rglob(f"ticker={name}.parquet"))
    assert len(found) == len(written)
    assert schedules(served) == SWITCHED
    assert planned(served) == {"daily-v2"}
    assert as_it_is(lake) == ("v2", "v2", False)
    code, report = flows(served, lake, "rollback", "--execute")
    assert (code, report["state"]) == (0, "done")
    assert schedules(served) == STARTS
    assert as_it_is(lake) == ("v1", "v1", False)


def planned(served: World, wanted: str = "daily-v2") -> set[str]:
    """Return the daily deployments that the server has a run planned for, `wanted` among them."""
    names = {d["id"]: name for name, d in served.deployments().items()}
    chosen = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}}

    # The server plans runs of a schedule a few seconds after it became active.
    def daily() -> set[str]:
        runs = served.api("/flow_runs/filter", chosen)
        return {names.get(r["deployment_id"], "") for r in runs} & DAILY

    until(lambda: wanted in daily(), 180, f"a planned run of {wanted}")
    return daily()


def retired(served: World) -> set[str]:
    """Return the deployments that a cleanup has taken out of service."""
    deployments = served.deployments()
    tagged = {name for name, deployment in deployments.items() if "retired" in deployment["tags"]}
    assert tagged == {name for name, deployment in deployments.items() if deployment["paused"]}
    return tagged


def variable(served: World) -> Any:
    """Return what the server's variable says was switched."""
    return served.api("/variables/name/polygon_fundamentals_switched", method="GET")["value"]


def test_a_rollback_takes_retired_deployments_back_into_service(
    served: World, lake: Lake, gate: Path
) -> None:
    before = data(lake)
    words = ["--execute", "--force", "test", "--readers", str(gate / "readers.toml")]
    assert flows(served, lake, "cutover", *words)[0] == 0
    days = ["--deployments-days", "0", "--data-days", "0"]
    code, report = flows(served, lake, "cleanup", "--execute", *days)
    assert (code, report["state"]) == (0, "done"), report
    of_v1 = {"daily-v1", "daily-both", "history-v1", "parity-nightly"}
    assert retired(served) == of_v1
    assert served.run("deploy").stdout.count("retired by `cleanup`: left alone") == len(of_v1)
    code, report = flows(served, lake, "restore", "--execute")
    assert (code, retired(served)) == (0, of_v1), report
    code, report = flows(served, lake, "rollback", "--execute", "--accept-stale")
    assert (code, as_it_is(lake)) == (0, ("v1", "v1", False)), report
    assert (retired(served), schedules(served)) == (set(), STARTS)
    active, _, back = report["steps"][-1]["detail"].partition("; no longer retired: ")
    words = set(active.removeprefix("active now: ").split(", "))
    assert (words, set(back.split(", "))) == ({"daily-both", "daily-v1", "parity-nightly"}, of_v1)
    assert planned(served, "daily-both") == {"daily-v1", "daily-both"}
    answer = served.run("deploy", "--json")
    assert (answer.returncode, "retired" in answer.stdout) == (0, False)
    assert (retired(served), schedules(served)) == (set(), STARTS)
    assert data(lake) == before


def test_a_copy_and_a_second_lake_leave_the_schedules_alone(
    served: World, lake: Lake, tmp_path: Path
) -> None:
    now = variable(served)
    copy = Lake(tmp_path / "copy")
    code, report = flows(served, lake, "rehearse", "--copy", str(copy.root))
    assert code == 0, report
    force = ["--execute", "--force", "test"]
    code, report = flows(served, copy, "cutover", *force)
    assert (code, as_it_is(copy)[:2]) == (0, ("v2", "v2")), report
    steps = {step["name"]: step["detail"] for step in report["steps"]}
    assert steps["pause schedules"].startswith("skipped: this is a copy to rehearse on")
    days = ["--deployments-days", "0", "--data-days", "0"]
    assert flows(served, copy, "cleanup", "--execute", *days)[0] == 0
    assert (schedules(served), retired(served), variable(served)) == (STARTS, set(), now)
    # The deployments name no lake: here they load the one that QUANTLAKE_ROOT names.
    words = ["--lake", str(lake.root), "--json", "--readers", str(tmp_path / "none.toml")]
    (tmp_path / "none.toml").touch()
    answer = served.run("cutover", *force, *words, QUANTLAKE_ROOT="")
    assert (answer.returncode, leads_to(lake)) == (2, "v1"), answer.stderr
    assert f"Set it to the lake that the deployment loads, such as {lake.root}" in answer.stdout
    answer = served.run("cutover", *force, *words)
    assert (answer.returncode, leads_to(lake)) == (0, "v2"), answer.stderr
    assert "no deployment there loads this lake" in answer.stdout
    assert (schedules(served), retired(served), variable(served)) == (STARTS, set(), now)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("following", ["cutover", "rollback"])
def test_a_server_that_dies_is_mended_by_the_next_call(
    served: World, power: Power, lake: Lake, gate: Path, moment: str, following: str
) -> None:
    before = data(lake)
    (gate / f"stop {moment}").touch()
    process = begun(served, lake, gate)
    until((gate / "reached").exists, 120, "the readers' check")
    assert schedules(served) == {**SWITCHED, "daily-v2": False}
    assert leads_to(lake) == ("v2" if moment == "after" else "v1")
    power.cut()
    (gate / "go").touch()
    out, errors = process.communicate(timeout=120)
    report = json.loads(out)
    # v2's schedules could not be resumed, so readers are back on v1; the journal stays open.
    assert (process.returncode, report["state"]) == (4, "open"), errors
    assert "resume schedules: the Prefect server does not answer" in report["message"]
    assert "not put back yet: pause schedules" in report["message"]
    assert as_it_is(lake) == ("v1", "v1", True)
    code, report = flows(served, lake, following, "--execute")
    assert (code, as_it_is(lake)) == (4, ("v1", "v1", True)), report
    power.on()
    assert schedules(served) == {**SWITCHED, "daily-v2": False}
    force = ["--force", "test"] if following == "cutover" else []
    code, report = flows(served, lake, following, "--execute", *force)
    assert code == 0, report
    switched = following == "cutover"
    assert schedules(served) == (SWITCHED if switched else STARTS)
    assert as_it_is(lake) == (("v2", "v2", False) if switched else ("v1", "v1", False))
    assert data(lake) == before


@pytest.mark.parametrize("following", ["cutover", "rollback"])
def test_server_and_cutover_die_together_after_the_switch(
    served: World, power: Power, lake: Lake, gate: Path, following: str
) -> None:
    before = data(lake)
    (gate / "stop after").touch()
    process = begun(served, lake, gate)
    until((gate / "reached").exists, 120, "the readers' check")
    power.cut()
    process.kill()
    process.communicate(timeout=60)
    (gate / "go").touch()
    assert (leads_to(lake), journals.unfinished(lake) is None) == ("v2", False)
    power.on()
    code, report = flows(served, lake, following, "--execute")
    assert code == 0, report
    switched = following == "cutover"
    assert schedules(served) == (SWITCHED if switched else STARTS)
    assert as_it_is(lake) == (("v2", "v2", False) if switched else ("v1", "v1", False))
    assert data(lake) == before


def test_readers_go_back_while_the_server_is_dead(
    served: World, power: Power, lake: Lake, gate: Path
) -> None:
    process = begun(served, lake, gate)
    assert process.communicate(timeout=200)[0]
    assert (process.returncode, schedules(served)) == (0, SWITCHED)
    power.cut()
    code, report = flows(served, lake, "rollback", "--execute")
    assert (code, as_it_is(lake)) == (1, ("v1", "v1", True)), report
    assert "schedules as they were: the Prefect server does not answer" in report["message"]
    power.on()
    assert schedules(served) == SWITCHED
    code, report = flows(served, lake, "rollback", "--execute")
    assert (code, as_it_is(lake)) == (0, ("v1", "v1", False)), report
    assert schedules(served) == STARTS


@pytest.mark.parametrize("approved", [True, False])
def test_a_person_is_asked_in_the_ui(served: World, lake: Lake, approved: bool) -> None:
    parameters = {
        "execute": True,
        "force": "test",
        "ask_approval": True,
        "lake": str(lake.root),
    }
    identity = served.deployments()["cutover"]["id"]
    with served.worker(f"asked-{approved}", QUANTLAKE_ROOT=str(lake.root)):
        run = served.api(f"/deployments/{identity}/create_flow_run", {"parameters": parameters})
        place = f"/flow_runs/{run['id']}"

        def state(kind: str) -> Any:
            found = served.api(place, method="GET")
            assert found["state_type"] not in ("FAILED", "CRASHED") or kind == "ENDED", found
            done = found["state_type"] in ("COMPLETED", "FAILED", "CRASHED")
            return found if found["state_type"] == kind or (kind == "ENDED" and done) else None

        paused = until(lambda: state("PAUSED"), 120, "the form")
        # The form that the UI draws.
        keys = paused["state"]["state_details"]["run_input_keyset"]
        form = served.api(f"{place}/input/{keys['schema']}", method="GET")
        assert form["properties"].keys() == {"approved", "by"}
        assert form["properties"]["approved"]["description"] == "Switch readers to v2 now"
        assert schedules(served) == STARTS
        assert not lake.pointer.is_symlink()
        answer = {"run_input": {"approved": "perhaps", "by": "Ada"}}
        assert served.api(f"{place}/resume", answer)["status"] == "REJECT"
        answer = {"run_input": {"approved": approved, "by": "Ada"}}
        assert served.api(f"{place}/resume", answer)["status"] == "ACCEPT"
        ended = until(lambda: state("ENDED"), 120, "the end")
    if not approved:
        assert ended["state_type"] == "FAILED"
        assert ended["state"]["message"] == "Ada did not approve; nothing was changed"
        assert not lake.pointer.is_symlink()
        assert journals.journals(lake) == []
        assert schedules(served) == STARTS
        return
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert as_it_is(lake) == ("v2", "v2", False)
    assert schedules(served) == SWITCHED
    (entry,) = (p for p in (lake.ops / "runs").glob("*-cutover-*"))
    assert json.loads(entry.read_text())["parameters"]["approved_by"] == "Ada"
    found = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    assert [a["key"] for a in served.api("/artifacts/filter", found)] == ["cutover-steps"]
