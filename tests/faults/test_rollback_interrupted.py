"""A rollback that Ctrl-C or SIGTERM ends while it asks the Prefect server: readers stay on v1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.switching import recorded
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.operations import rollback
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation
from tests import cutover_world as world


@pytest.mark.parametrize("moment", ["noted record schedules", "noted schedules as they were"])
def test_readers_stay_on_v1_and_the_next_call_finishes_it(lake: Lake, moment: str) -> None:
    start = world.state(world.fill(lake))
    world.run(lake, "cutover", checks=())

    def stopped(name: str) -> None:
        if name == moment:
            signal.raise_signal(signal.SIGTERM)

    context = world.context(lake, on_reached=stopped, checks=())
    earlier = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(KeyboardInterrupt, match="readers see v1 now"):
            recorded(
                lake,
                "rollback",
                {},
                lambda: rollback(lake, context, world.QUICK, [], world.TODAY, accept_stale=True),
            )
    finally:
        signal.signal(signal.SIGTERM, earlier)
    left = journals.unfinished(lake)
    assert left is not None
    assert (left.operation, left.direction, lake.primary) == ("rollback", "forward", Generation.V1)
    assert world.run(lake, "rollback", checks=())["exit_code"] == 0
    assert journals.unfinished(lake) is None
    ended = world.state(lake)
    assert (ended["pointer"], ended["schedules"]) == ("v1", start["schedules"])


@pytest.mark.slow
def test_a_server_that_hangs_is_asked_last(lake: Lake, tmp_path: Path) -> None:
    world.run(world.fill(lake), "cutover", checks=())
    no_checks = tmp_path / "none.toml"
    no_checks.touch()
    words = ["rollback", "--execute", "--accept-stale", "--lake", str(lake.root)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        with subprocess.Popen(
            [sys.executable, "-m", "flows", *words, "--readers", str(no_checks)],
            env={**os.environ, "PREFECT_API_URL": url, "PREFECT_HOME": str(tmp_path / "home")},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            server.settimeout(60)
            with server.accept()[0]:
                asked_at = lake.primary
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate()
    assert (asked_at, lake.primary) == (Generation.V1, Generation.V1)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == (
        "error: interrupted: readers see v1 now; run the same command again to continue"
    )
