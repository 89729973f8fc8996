"""The line in which `serve` says which rate limit the runs share."""

from __future__ import annotations

import pytest

from deployments.steps import CREATE, Step
from flows.commands.serve import rate_limit_line
from polygon_fundamentals.server import LIMIT_NAME


@pytest.mark.parametrize(
    ("changes", "given", "expected"),
    [
        ((CREATE,), None, "as the free plan allows, since POLYGON_REQUESTS_PER_MINUTE is not set"),
        ((CREATE,), 300, "as POLYGON_REQUESTS_PER_MINUTE says; change it there"),
        ((), None, "as this server has it from before, since POLYGON_REQUESTS_PER_MINUTE"),
    ],
)
def test_serve_says_which_limit_it_uses_and_how_to_change_it(
    changes: tuple[str, ...], given: int | None, expected: str
) -> None:
    note = f"at most {given or 5} requests in any minute; for another plan set VARIABLE"
    steps = [Step("another", (), list), Step(f"rate limit {LIMIT_NAME}", changes, list, note)]
    line = rate_limit_line(steps, given)
    assert line.startswith(f"rate limit: at most {given or 5} requests in any minute, ")
    assert expected in line
    assert line.endswith("then run this again")
