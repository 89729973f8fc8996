"""What fails as a whole is done in halves, until the guilty part is alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from polygon_fundamentals.errors import (
    ApiError,
    FundamentalsError,
    NotEntitledError,
    NotFoundError,
    RetiredError,
    UnauthorizedError,
)


def splitting(
    tickers: Sequence[str], work: Callable[[Sequence[str]], None]
) -> dict[str, FundamentalsError]:
    """Do the work for all tickers, in halves where it fails; return ticker → its error.

    What would fail for every ticker (key, plan, endpoint gone) is not tried again in halves.
    """
    failed: dict[str, FundamentalsError] = {}
    # Both halves before a quarter: where one ticker is guilty the other half comes soon, and
    # says to the client that the API is not down.
    parts = deque([tickers])
    while parts:
        part = parts.popleft()
        try:
            work(part)
        except (UnauthorizedError, NotEntitledError, NotFoundError, RetiredError) as error:
            failed |= dict.fromkeys(part, error)
        except ApiError as error:
            if len(part) == 1:
                failed[part[0]] = error
            else:
                half = len(part) // 2
                parts += [part[:half], part[half:]]
    return failed
