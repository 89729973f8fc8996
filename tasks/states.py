"""The states in which tasks end."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from prefect.futures import PrefectFuture
from prefect.states import Failed, State

from polygon_fundamentals.errors import FundamentalsError, LakeError, as_fundamentals_error


def failed(error: FundamentalsError | OSError) -> State[Any]:
    """Return the state of a task that failed: the text, and the exit code as data."""
    ours = as_fundamentals_error(error)
    return Failed(message=str(ours), data={"error": str(ours), "exit_code": ours.exit_code})


def answer_of(state: State[Any]) -> dict[str, Any]:
    """Return a task's answer, or its message as an `error` where it left none."""
    result = state.result(raise_on_failure=False)
    if isinstance(result, dict):
        return result
    return {"error": str(state.message or result), "exit_code": 3}


def failure_of(future: PrefectFuture[Any]) -> BaseException | None:
    """Return why a task failed; None where it did not."""
    try:
        result = future.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 - what became of the process, as its pool says
        return error
    return result if isinstance(result, BaseException) else None


def error_of(failures: Sequence[BaseException], what: str) -> BaseException:
    """Return the error that says most: one with a remedy before a process that is gone."""
    for error in failures:
        # The second is Dask's, an extra that is not installed everywhere.
        if not isinstance(error, BrokenProcessPool) and type(error).__name__ != "KilledWorker":
            return error
    died = LakeError(
        f"{what}: a process died, perhaps for want of memory; run the same command again, in one "
        "process without --task-runner"
    )
    died.__cause__ = failures[0]
    return died
