"""A run's report where Prefect's server gives its end state back without the data."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client, runtime
from prefect.states import State

from flows.runs import finish_flow, report_of


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("exit_code", [0, 1])
def test_an_end_state_that_comes_from_the_server_has_its_report(exit_code: int) -> None:
    """The server took the state, was a minute too slow to say so, and was sent it again."""
    ids: list[str] = []

    @flow
    def some() -> State[Any]:
        ids.append(runtime.flow_run.id)
        return finish_flow(lambda: {"exit_code": exit_code, "message": "3 rows", "rows": 3})

    state = some(return_state=True)
    report = {"exit_code": exit_code, "message": "3 rows", "rows": 3}
    assert report_of(state) == report
    with get_client(sync_client=True) as client:
        stored = client.read_flow_run(UUID(ids[0])).state
    assert stored is not None
    assert (stored.is_completed(), stored.data is None) == (not exit_code, True)
    assert report_of(stored) == report


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_prefect_ended_has_no_report() -> None:
    @flow
    def other() -> None:
        raise KeyError("no body of ours")

    assert report_of(other(return_state=True)) is None
