"""A user's server: deploy twice, a limit that is missing, a scheduled run, and where the key is.

The tests of this module build on each other, in order: a server takes half a minute to start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from polygon_fundamentals import ledger
from polygon_fundamentals.lake import Lake
from tests.server import chromium
from tests.server.world import FILE, KEY, ROOT, World, declared, until

pytestmark = pytest.mark.slow


def as_deployed(served: World) -> dict[str, Any]:
    """Return what the server has of every deployment, ids and times of change included."""
    return {
        name: {k: d[k] for k in ("id", "updated", "schedules", "parameters", "tags", "paused")}
        for name, d in served.deployments().items()
    }


def test_a_plan_changes_nothing(served: World) -> None:
    told = served.run("deploy", "--plan")
    assert told.returncode == 0, told.stderr
    assert "! work pool fundamentals (process)\n    create\n" in told.stdout
    assert served.deployments() == {}
    with pytest.raises(HTTPError, match="404"):
        served.api("/work_pools/fundamentals", method="GET")


def test_without_a_deploy_a_run_stops_before_its_first_request(served: World) -> None:
    served.sandbox.forget_requests()
    told = served.run(
        "historical-load", "--generation", "v2", "--tickers", served.sandbox.tickers[0]
    )
    assert told.returncode == 2, told.stderr
    assert told.stderr.splitlines()[-1].startswith(
        "error: the concurrency limit 'polygon-api' is missing on the configured Prefect server"
    )
    assert served.sandbox.requests == []


def test_deploying_twice_changes_nothing_the_second_time(served: World) -> None:
    told = served.run("deploy", POLYGON_REQUESTS_PER_MINUTE="600")
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1].endswith("all are as declared")
    first = as_deployed(served)
    assert first.keys() == {d["name"] for d in declared()}
    told = served.run("deploy", POLYGON_REQUESTS_PER_MINUTE="600")
    assert told.stdout.splitlines()[-1].startswith("0 of ")
    assert as_deployed(served) == first


def test_every_schedule_is_as_written(served: World) -> None:
    wanted = {
        (d["name"], s["slug"]): (s["cron"], s["timezone"], s["active"])
        for d in declared()
        for s in d["schedules"]
    }
    found = {
        (name, s["slug"]): (s["schedule"]["cron"], s["schedule"]["timezone"], s["active"])
        for name, d in served.deployments().items()
        for s in d["schedules"]
    }
    assert found == wanted
    assert sum(active for *_, active in found.values()) >= 4
    assert found["daily-v1", "weekdays"] == ("30 22 * * 1-5", "America/New_York", False)


def test_what_somebody_changed_by_hand_is_mended_but_for_what_a_schedule_is(served: World) -> None:
    before = served.deployments()
    daily, drill = before["daily-both"], before["drill"]
    schedule = daily["schedules"][0]
    place = f"/deployments/{daily['id']}/schedules/{schedule['id']}"
    served.api(place, {"active": False}, method="PATCH")
    extra = {"schedule": {"cron": "* * * * *", "timezone": "UTC"}, "active": True}
    served.api(f"/deployments/{drill['id']}/schedules", [extra])
    served.api("/v2/concurrency_limits/polygon-api", {"active": False}, method="PATCH")
    planned = served.run("deploy", "--plan", "--json")
    changed = {s["name"]: s["detail"] for s in json.loads(planned.stdout)["steps"] if not s["ok"]}
    assert changed.keys() == {"rate limit polygon-api", "drill/drill"}
    assert changed["rate limit polygon-api"] == "active: False → True"
    deployed = served.run("deploy")
    assert deployed.returncode == 0, deployed.stderr
    assert "its schedule is inactive on the server and active in prefect.yaml" in deployed.stdout
    after = served.deployments()
    assert after["drill"]["schedules"] == []
    assert [(s["id"], s["active"]) for s in after["daily-both"]["schedules"]] == [
        (schedule["id"], False)
    ]


def test_what_a_cutover_switched_stays_switched(served: World) -> None:
    name = "polygon_fundamentals_switched"
    found = served.api(f"/variables/name/{name}", method="GET")
    place = f"/variables/{found['id']}"
    served.api(place, {"value": {"daily-both": False, "daily-v2": True}}, method="PATCH")
    told = served.run("deploy")
    assert "schedules stay inactive: a cutover switched them" in told.stdout
    active = {
        n: d["schedules"][0]["active"] for n, d in served.deployments().items() if d["schedules"]
    }
    assert (active["daily-both"], active["daily-v2"]) == (False, True)
    served.api(place, {"value": {}}, method="PATCH")
    assert served.run("deploy").returncode == 0
    assert served.deployments()["daily-both"]["schedules"][0]["active"] is True


@pytest.mark.parametrize(
    ("limit", "more", "told"),
    [
        ({"active": False}, {}, "'polygon-api' is inactive on the configured Prefect server"),
        ({"slot_decay_per_second": 0.0}, {}, "has 60 slots and a decay of 0: no rate"),
        (
            {"active": True},
            {"POLYGON_REQUESTS_PER_MINUTE": "5"},
            "grants up to 574 requests a minute, more than the 5 of POLYGON_REQUESTS_PER_MINUTE",
        ),
    ],
)
@pytest.mark.parametrize("command", ["historical-load", "daily-update"])
def test_a_limit_that_limits_nothing_stops_the_run(
    served: World, command: str, limit: dict[str, Any], more: dict[str, str], told: str
) -> None:
    if command == "daily-update" and more:
        pytest.skip("once is enough")
    served.sandbox.forget_requests()
    before = served.api("/v2/concurrency_limits/polygon-api", method="GET")
    served.api("/v2/concurrency_limits/polygon-api", limit, method="PATCH")
    try:
        ended = served.run(command, "--generation", "v2", "--tickers", "AAPL", **more)
    finally:
        kept = {k: before[k] for k in ("active", "slot_decay_per_second", "limit")}
        served.api("/v2/concurrency_limits/polygon-api", kept, method="PATCH")
    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr.splitlines()[-1]
    assert served.sandbox.requests == []


def test_a_scheduled_daily_run_is_taken_and_leaves_its_artifacts(
    served: World, tmp_path: Path
) -> None:
    tickers = served.sandbox.tickers[:3]
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    (daily,) = (d for d in content["deployments"] if d["name"] == "daily-both")
    daily["schedules"][0]["cron"] = "* * * * *"
    daily["parameters"] |= {"tickers": tickers, "day": "2026-06-30", "days_back": 60}
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from deployments.apply import deploy; "
        "deploy(plan=False, file=Path(sys.argv[1]))"
    )
    with served.worker("daily", POLYGON_API_KEY=""):
        subprocess.run(
            [sys.executable, "-c", code, str(file)],
            cwd=ROOT,
            env=served.environment(),
            check=True,
            timeout=200,
        )
        identity = served.deployments()["daily-both"]["id"]
        chosen = {"deployments": {"id": {"any_": [identity]}}}

        def ended() -> Any:
            runs = served.api("/flow_runs/filter", chosen)
            return [r for r in runs if r["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]

        (run, *_) = until(ended, 240, "a scheduled daily run that ended")
        assert served.run("deploy").returncode == 0
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    expected = datetime.fromisoformat(run["expected_start_time"])
    assert (datetime.fromisoformat(run["start_time"]) - expected).total_seconds() < 60
    assert run["name"] == "daily both · 2026-06-30 − 60 d"
    records = [r for r in ledger.read_entries(Lake(served.lake))[0] if r.outcome == "succeeded"]
    assert run["id"] in {r.content["flow_run_id"] for r in records}
    found = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    keys = {a["key"] for a in served.api("/artifacts/filter", found)}
    assert {"daily-update-loaded", "status"} <= keys
    tasks = served.api("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert f"v1 · {tickers[0]} · 2026-05-01 to 2026-06-30" in {t["name"] for t in tasks}
    logs = served.api("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert logs, "the run's log lines are on the server"


def test_the_key_is_nowhere_to_be_found(served: World) -> None:
    """The worker had no key in its environment: the runs above took it from the Secret block."""
    places = [p for p in served.folder.rglob("*") if p.is_file()]
    assert any(p.suffix == ".db" for p in places) or served.kind == "postgres"
    assert any(p.name == "worker-daily.log" for p in places)
    assert [p for p in places if KEY.encode() in p.read_bytes()] == []
    for kind in ("flow_runs", "task_runs", "artifacts", "logs", "deployments", "block_documents"):
        assert KEY not in json.dumps(served.api(f"/{kind}/filter", {"limit": 200}))
    assert any(r.headers.get("authorization") == "Bearer " + KEY for r in served.sandbox.requests)


@pytest.mark.browser
def test_the_ui_shows_the_run_and_its_artifacts(served: World) -> None:
    (daily,) = [d for n, d in served.deployments().items() if n == "daily-both"]
    (run, *_) = served.api(
        "/flow_runs/filter",
        {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "tags": {"all_": ["daily"]}}},
    )
    artifacts = served.api(
        "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    )
    ids = {a["key"]: a["id"] for a in artifacts}
    name = "daily both · 2026-06-30 − 60 d"
    task = f"v1 · {served.sandbox.tickers[0]} · 2026-05-01 to 2026-06-30"
    pages = {
        "runs": ("/runs", [name, "Completed"]),
        "run": (f"/runs/flow-run/{run['id']}", [name, task]),
        "artifact": (
            f"/artifacts/artifact/{ids['daily-update-loaded']}",
            ["rows unchanged", "v1", "v2"],
        ),
        "deployments": ("/deployments", [f"{len(declared())} Deployments", "checklist"]),
        "form": (
            f"/deployments/deployment/{daily['id']}/run",
            ["v1 is the deprecated API, v2 the official one", "without it, today in New York"],
        ),
    }
    shots = Path(os.environ.get("SCREENSHOTS", str(served.folder)))
    with chromium.page(served.folder / "chromium") as page:
        for shot, (path, texts) in pages.items():
            page.opened(served.serving.url + path, *texts)
            page.shot(shots / f"ui-{served.kind}-{shot}.png")
            if shot == "run":
                page.clicked("Artifacts", "daily-update-loaded", "status")
                page.shot(shots / f"ui-{served.kind}-run-artifacts.png")
        assert page.complaints == []
        # The guard itself: an error in the console is seen.
        page.ask("Runtime.evaluate", expression="console.error('seen'); fetch('/api/none')")
        until(lambda: page.text() and len(page.complaints) == 2, 10, "two complaints")
