"""Shards whose runs leave nothing in the lake, or that no worker takes."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled, Cancelling, Completed

from flows import shard_runs, shards
from flows.shard_runs import Shard, _look, carry_out
from polygon_fundamentals.errors import ApiError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger import RunEntry
from polygon_fundamentals.server import SHARD_DEPLOYMENT
from sandbox import Sandbox


def register() -> None:
    with get_client(sync_client=True) as client:
        flow_name, _, name = SHARD_DEPLOYMENT.partition("/")
        client.create_deployment(client.create_flow_from_name(flow_name), name=name)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_ends_without_an_entry_in_the_lake_is_given_up(
    lake: Lake, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no worker; somebody marks the run as completed."""
    for name in ("POLL_SECONDS", "SHOWS_SECONDS", "UNTAKEN_SECONDS"):
        monkeypatch.setattr(shard_runs, name, 0.2)
    shard = Shard(1, ["AAPL"], lake.ops / "shards" / "run" / "shard-001.txt")

    def mark() -> None:
        while shard.run is None:
            time.sleep(0.1)
        time.sleep(2.0)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(shard.run, Completed(message="by hand"), force=True)

    @flow(persist_result=False)
    def sharded() -> None:
        register()
        timer = threading.Thread(target=mark, daemon=True)
        timer.start()
        carry_out(lake, [shard], {})
        timer.join()

    with caplog.at_level(logging.WARNING):
        sharded()
    assert "no worker has taken any of the shards left" in caplog.text
    assert shard.problem.startswith("it ended as 'Completed: by hand', but left nothing in this")
    assert not shard.open


def states(shards: list[Shard]) -> list[StateType | None]:
    with get_client(sync_client=True) as client:
        runs = [client.read_flow_run(shard.run) for shard in shards if shard.run]
    return [run.state.type if run.state else None for run in runs]


def planned(lake: Lake, call: str) -> list[Shard]:
    folder = lake.ops / "shards" / call
    folder.mkdir(parents=True)
    shards = []
    for number, tickers in ((1, ["AAPL", "NA"]), (2, ["MSFT"])):
        shards.append(Shard(number, tickers, folder / f"shard-{number:03}.txt"))
        shards[-1].file.write_text("\n".join(tickers) + "\n")
    return shards


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_the_same_command_waits_for_the_shards_that_go_on_and_ctrl_c_cancels_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[BaseException] = [ApiError("the server stopped"), KeyboardInterrupt()]
    monkeypatch.setattr(shard_runs, "_wait", lambda *_: (_ for _ in ()).throw(ends.pop(0)))
    common: dict[str, object] = {"generation": "v2", "lake": str(lake.root)}
    first, second, other = (planned(lake, name) for name in ("first", "second", "other"))

    @flow(persist_result=False, validate_parameters=False)
    def sharded(shards: list[Shard], common: dict[str, object]) -> None:
        register()
        carry_out(lake, shards, common)

    # The workers do not know that the load has ended: their runs go on.
    with pytest.raises(ApiError):
        sharded(first, common)
    assert states(first) == [StateType.SCHEDULED] * 2
    with pytest.raises(KeyboardInterrupt):
        sharded(second, common)
    assert [shard.run for shard in second] == [shard.run for shard in first]
    assert states(first) == [StateType.CANCELLED] * 2
    # A load of something else, and one after the cancellation, start their own.
    ends += [ApiError("again"), KeyboardInterrupt()]
    with pytest.raises(ApiError):
        sharded(other, {**common, "generation": "v1"})
    third = planned(lake, "third")
    with pytest.raises(KeyboardInterrupt):
        sharded(third, common)
    runs = [shard.run for shards in (first, other, third) for shard in shards]
    assert len(set(runs)) == 6
    assert states(other) == [StateType.SCHEDULED] * 2


@pytest.mark.usefixtures("prefect_server")
def test_the_shards_that_go_on_are_found_on_any_page(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pages.PAGE", 2)
    register()
    folder = lake.ops / "shards" / "many"
    folder.mkdir(parents=True)
    shards = [Shard(n, [f"T{n}"], folder / f"shard-{n:03}.txt") for n in range(5)]
    common: dict[str, object] = {"generation": "v2", "lake": str(lake.root)}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(SHARD_DEPLOYMENT).id
        for shard in shards:
            shard.file.write_text(f"{shard.tickers[0]}\n")
            shard_runs._start(client, deployment, shard, common)
        going_on = shard_runs._going_on(client, deployment, common)
    assert going_on == {tuple(shard.tickers): shard.run for shard in shards}


@pytest.mark.parametrize("state", [Cancelling(), Cancelled(message="by a user")])
def test_a_shard_that_somebody_cancels_is_not_started_again(lake: Lake, state: State) -> None:
    interrupted = RunEntry.of(
        {
            "flow": "historical-load",
            "outcome": "interrupted",
            "started": datetime.now(UTC).isoformat(),
            "parameters": {},
        }
    )
    for entry in (interrupted, None):
        (shard, _) = planned(lake, "with" if entry else "without")
        assert _look(shard, state, entry) == ""
        assert (shard.problem, shard.open) == ("it was cancelled", False)


def test_a_new_listing_leaves_the_shards_of_a_call_that_was_cut_off_as_they_are(
    sandbox: Sandbox, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = sorted(sandbox.tickers)
    names = listed[1:8]
    calls: list[list[list[str]]] = []

    def cut_off(lake: Lake, given: list[Shard], common: dict[str, object]) -> None:
        calls.append([shard.file.read_text().split() for shard in given])
        assert calls[-1] == [shard.tickers for shard in given]
        raise ApiError("the server stopped")

    monkeypatch.setattr(shards, "carry_out", cut_off)
    monkeypatch.setattr(shards, "server_configured", lambda: True)
    monkeypatch.setattr(shards, "names_of", lambda *_: names)
    asked = {"generation": "v2", "universe": "all", "base_url": sandbox.url, "shards": 3}

    def load(**more: object) -> list[list[str]]:
        state = shards.sharded_load.fn(**{**asked, "lake": str(lake.root), **more})
        assert state.message == "the server stopped"
        return calls[-1]

    first = load()
    assert first == [names[0::3], names[1::3], names[2::3]]
    # One of them is no longer listed, two others are: the shards stay, and there is one more.
    names = [listed[0], *listed[2:9]]
    assert load() == [*first, [listed[0], listed[8]]]
    assert load() == [*first, [listed[0], listed[8]]]
    # A load of something else, and one after a load that succeeded, have shards of their own.
    own = [names[0::3], names[1::3], names[2::3]]
    assert load(universe="active") == own
    for file in lake.ops.glob("runs/*.json"):
        file.write_text(file.read_text().replace('"failed"', '"succeeded"'))
    assert load() == own
