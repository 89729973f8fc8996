"""Every deployment of prefect.yaml, run once by a worker on a small lake of the sandbox's.

They run in the order of the file, which loads before it compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from polygon_fundamentals.silver import TABLE
from tests.server.world import World, declared, until

pytestmark = pytest.mark.slow
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
DAY: dict[str, Any] = {"day": "2026-06-30", "days_back": 60}
# deployment → (parameters beside its own, how it ends)
EXPECTED: dict[str, tuple[dict[str, Any], str]] = {
    "history-v1": ({"tickers": "FEW"}, r"COMPLETED: v1: 9 units, [1-9]\d* rows new"),
    "history-v2": ({"tickers": "FEW"}, r"COMPLETED: v2: 9 units, [1-9]\d* rows new"),
    "history-shard": (
        {"tickers": "FEW", "generation": "v2"},
        "COMPLETED: v2: 9 units, 0 rows new, 0 changed",
    ),
    "history-sharded": (
        {"tickers": "FEW", "generation": "v2", "shards": 2, "resume": False},
        "COMPLETED: 2 shards; v2: 9 units, 0 rows new, 0 changed",
    ),
    "daily-v1": (DAY, "COMPLETED: v1: 3 units, 0 rows new"),
    "daily-v2": (DAY, "COMPLETED: v2: 3 units, 0 rows new"),
    "daily-both": (DAY, "COMPLETED: v1: 3 units, .*; v2: 3 units, "),
    "ratios-daily": ({}, "COMPLETED: ratios: 3 units, 3 rows new"),
    "refresh-weekly": ({}, "COMPLETED: v2: 9 units, 0 rows new, 0 changed"),
    "verify-weekly": ({}, r"COMPLETED: [1-9][\d,]* files, none of them damaged$"),
    "parity-nightly": ({"day": "2026-06-30"}, r"COMPLETED: passed: [1-9][\d,]* values compared"),
    "silver-nightly": ({}, "COMPLETED: silver from v1: "),
    "publish-nightly": ({}, f"COMPLETED: published {TABLE} version 0 "),
    # A busy machine misses the target of a load's time, and the status says so.
    "status-daily": ({}, r"COMPLETED: $|FAILED: download of 1,000 tickers .*: missed$"),
    "checklist": ({}, "FAILED: unmet: "),
    "cutover": ({}, "COMPLETED: not yet: .* unmet"),
    "rollback": ({}, "COMPLETED: the pointer leads to v1; nothing to do$"),
    "drill": ({}, "COMPLETED: drill passed: "),
    "cleanup": ({}, "FAILED: .* leads to v1, which readers still use; cut over first$"),
    "fundamentals": ({"tickers": "FEW"}, "COMPLETED: v1: 9 units, "),
}


@pytest.fixture(scope="module")
def deployed(served: World) -> Iterator[World]:
    """Everything deployed, and one worker."""
    told = served.run("deploy", POLYGON_REQUESTS_PER_MINUTE="600")
    assert told.returncode == 0, told.stderr
    with served.worker(
        "every", POLYGON_API_KEY="", QUANTLAKE_PUBLISH_URL=str(served.folder / "tables")
    ):
        yield served


def test_no_deployment_is_left_out() -> None:
    assert list(EXPECTED) == [d["name"] for d in declared()]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_worker_runs_it(deployed: World, name: str) -> None:
    more, expected = EXPECTED[name]
    few = deployed.sandbox.tickers[:3]
    given = {k: few if v == "FEW" else v for k, v in more.items()}
    place = f"/deployments/{deployed.deployments()[name]['id']}/create_flow_run"
    identity = deployed.api(place, {"parameters": given, "state": {"type": "SCHEDULED"}})["id"]

    def ended() -> Any:
        run = deployed.api(f"/flow_runs/{identity}", method="GET")
        return run if run["state_type"] in ENDED else None

    run = until(ended, 200, f"the end of a run of {name}")
    found = f"{run['state_type']}: {run['state']['message'] or ''}"
    print(name, found)
    assert re.match(expected, found), found


def test_no_run_left_a_traceback(deployed: World) -> None:
    """Of a run that says no itself, Prefect's engine would log one, for the UI too."""
    logs = deployed.api("/logs/filter", {"logs": {"level": {"ge_": 40}}})
    assert [line["message"] for line in logs if "Traceback" in line["message"]] == []
    told = (deployed.folder / "worker-every.log").read_text(encoding="utf-8")
    assert "Finished in state Failed('unmet: " in told
    assert "Traceback" not in told


def test_nothing_was_switched(deployed: World) -> None:
    assert not (deployed.lake / "bronze" / "fundamentals").is_symlink()
    active = {s["active"] for d in deployed.deployments().values() for s in d["schedules"]}
    assert active == {True, False}
