"""The automations: a failed run, a failed parity and a late run reach a webhook of the user's.

The status of a lake that is well does not, whichever of the states of `status_lakes` it is in.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from polygon_fundamentals.lake import Lake
from tests.builders.status_lakes import LAKES
from tests.server.world import World, until

pytestmark = pytest.mark.slow
AUTOMATIONS = [
    "polygon-fundamentals: a run failed",
    "polygon-fundamentals: a run is late",
    "polygon-fundamentals: a run's worker died",
    "polygon-fundamentals: parity failed",
]


class Receiver(NamedTuple):
    """A web service that is told; `told` is every body with its content type."""

    url: str
    told: list[tuple[str, str]]

    def texts(self) -> list[str]:
        """Return each text once; whatever is not a JSON object with a text fails here.

        Prefect evaluates an event again when its database was locked, although it has sent the
        message by then, so the same message may arrive twice.
        """
        return sorted({json.loads(body)["text"] for body, _ in self.told})


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    told: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told.append((body, self.headers.get("Content-Type", "")))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield Receiver(f"http://127.0.0.1:{server.server_port}/hook", told)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def told_of(served: World, receiver: Receiver) -> Receiver:
    """The receiver, deployed; what it was told by the server of before is forgotten."""
    receiver.told.clear()
    told = served.run("deploy", POLYGON_NOTIFY_WEBHOOK=receiver.url)
    assert told.returncode == 0, told.stderr
    again = served.run("deploy", "--plan", POLYGON_NOTIFY_WEBHOOK=receiver.url)
    assert again.stdout.splitlines()[-1].startswith("0 of "), again.stdout
    return receiver


def started(
    served: World, deployment: str, tags: list[str] | None = None, **parameters: Any
) -> dict[str, Any]:
    """Start a run of a deployment now, with its tags and these."""
    place = f"/deployments/{served.deployments()[deployment]['id']}/create_flow_run"
    made: dict[str, Any] = served.api(
        place,
        {"parameters": parameters, "state": {"type": "SCHEDULED"}, "tags": tags or []},
    )
    return made


def test_the_automations_are_on_the_server_and_on(served: World, told_of: Receiver) -> None:
    found = served.api("/automations/filter", {})
    assert sorted(a["name"] for a in found) == AUTOMATIONS
    assert [a["enabled"] for a in found] == [True] * 4
    assert told_of.told == []


def test_an_automation_that_someone_edited_is_put_right(served: World, told_of: Receiver) -> None:
    for name, changed in (
        ("polygon-fundamentals: a run's worker died", {"actions": [{"type": "do-nothing"}]}),
        ("polygon-fundamentals: a run is late", {}),
    ):
        (stored,) = [a for a in served.api("/automations/filter", {}) if a["name"] == name]
        edited = {k: stored[k] for k in ("name", "description", "trigger", "actions")}
        edited["trigger"] |= {"threshold": 5}
        served.api(f"/automations/{stored['id']}", edited | changed, method="PUT")
        planned = served.run("deploy", "--plan", "--json", POLYGON_NOTIFY_WEBHOOK=told_of.url)
        (step,) = [s for s in json.loads(planned.stdout)["steps"] if not s["ok"]]
        assert name in step["name"]
        assert "threshold: 5 → 1" in step["detail"]
        made = served.run("deploy", POLYGON_NOTIFY_WEBHOOK=told_of.url)
        assert made.returncode == 0, made.stderr
        again = served.run("deploy", "--plan", POLYGON_NOTIFY_WEBHOOK=told_of.url)
        assert again.stdout.splitlines()[-1].startswith("0 of "), again.stdout


def test_the_address_is_changed_where_it_is_another(served: World, told_of: Receiver) -> None:
    other = told_of.url.replace("/hook", "/moved")
    planned = served.run("deploy", "--plan", "--json", POLYGON_NOTIFY_WEBHOOK=other)
    changed = [s["name"] for s in json.loads(planned.stdout)["steps"] if not s["ok"]]
    assert changed == ["webhook block polygon-fundamentals-notify"]
    assert other not in planned.stdout, "an address may hold a secret"


def test_a_block_that_was_made_again_is_the_one_that_the_automations_call(
    served: World, told_of: Receiver
) -> None:
    blocks = {"block_documents": {"name": {"any_": ["polygon-fundamentals-notify"]}}}
    (block,) = served.api("/block_documents/filter", blocks)
    served.api(f"/block_documents/{block['id']}", method="DELETE")
    made = served.run("deploy", POLYGON_NOTIFY_WEBHOOK=told_of.url)
    assert made.returncode == 0, made.stderr
    (block,) = served.api("/block_documents/filter", blocks)
    calls = [
        action["block_document_id"]
        for automation in served.api("/automations/filter", {})
        for action in automation["actions"]
        if action["type"] == "call-webhook"
    ]
    assert calls == [block["id"]] * 3
    again = served.run("deploy", "--plan", POLYGON_NOTIFY_WEBHOOK=told_of.url)
    assert again.stdout.splitlines()[-1].startswith("0 of "), again.stdout


def test_a_late_run_is_told_of(served: World, told_of: Receiver) -> None:
    """No worker is there, so the runs are late after 15 s; shards wait for their turn by design."""
    shards = [started(served, "history-shard", tags=["shard"])["id"] for _ in range(2)]
    for shard in shards:
        until(lambda shard=shard: name_of_state(served, shard) == "Late", 90, "a late shard")
    run = started(served, "status-daily", tags=["auto-scheduled"])
    (text,) = until(told_of.texts, 90, "a word of the late run")
    assert text.startswith(f"late: status / {run['name']}: ")
    for waiting in (*shards, run["id"]):
        served.api(f"/flow_runs/{waiting}", method="DELETE")


def name_of_state(served: World, run: str) -> str:
    name: str = served.api(f"/flow_runs/{run}", method="GET")["state"]["name"]
    return name


def ends_of_status(served: World) -> dict[str, str]:
    """Run `status-daily` on each lake that is well, one at a time; return how the runs ended."""
    ends = dict[str, str]()
    for name, fill in LAKES.items():
        lake = Lake(served.folder / name.replace(" ", "-"))
        lake.prepare()
        fill(lake)
        run = started(served, "status-daily", lake=str(lake.root))["id"]
        ends[name] = until(lambda run=run: _end_of(served, run), 120, f"the status of {name}")
    return ends


def _end_of(served: World, run: str) -> str | None:
    state = served.api(f"/flow_runs/{run}", method="GET")["state_type"]
    return None if state in ("SCHEDULED", "PENDING", "RUNNING") else str(state)


def test_a_failed_run_and_a_failed_parity_are_told_of(served: World, told_of: Receiver) -> None:
    file = 'C:\\no "such"\tfile'
    # Without a row, unless a test before this one loaded some.
    (served.lake / "bronze").mkdir(parents=True, exist_ok=True)
    before = told_of.texts()

    def new() -> list[str]:
        return [text for text in told_of.texts() if text not in before]

    with served.worker("webhook"):
        assert ends_of_status(served) == {name: "COMPLETED" for name in LAKES}
        assert new() == [], "the webhook is called while all is well"

        started(served, "history-v2", tickers_file=file)
        (text,) = until(new, 120, "a word of the failed run")
        assert text == (
            "failed: historical-load / history v2 · the beginning to today: "
            f"--tickers-file {file} cannot be read (No such file or directory); give a text file "
            "with one ticker per line"
        )
        assert {kind for _, kind in told_of.told} == {"application/json"}
        before.append(text)

        started(served, "parity-nightly")
        until(new, 120, "a word of the failed parity")
        alone = started(served, "parity-nightly", lake=str(served.folder / "v2-alone"))["id"]
        until(lambda: name_of_state(served, alone) == "Skipped", 120, "the end of a night of v2")
    reason = f"parity / parity · all: the lake {served.lake} has no records of v1 to compare"
    # One message, not a second one as of any run that fails.
    assert [text.split("; ")[0] for text in new()] == [f"parity failed: {reason}"]
