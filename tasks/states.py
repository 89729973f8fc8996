"""The states in which tasks end."""

from __future__ import annotations

from typing import Any

from prefect.states import Failed, State

from polygon_fundamentals.errors import FundamentalsError, as_fundamentals_error


def failed(error: FundamentalsError | OSError) -> State[Any]:
    """Return the state of a task that failed: the text, and the exit code as data."""
    ours = as_fundamentals_error(error)
    return Failed(message=str(ours), data={"error": str(ours), "exit_code": ours.exit_code})
