"""Work that fails as a whole is repeated in halves, until the failing ticker or row is alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from polygon_fundamentals.errors import (
    ApiError,
    ContentError,
    FundamentalsError,
    NotEntitledError,
    NotFoundError,
    RetiredError,
    UnauthorizedError,
)
from polygon_fundamentals.http.client import Client

Part = TypeVar("Part", str, bytes)


class _Results(msgspec.Struct):
    results: list[msgspec.Raw] | None = None


_DECODER = msgspec.json.Decoder(_Results)  # made with the module, see http/answers.py


def bisect_failures(
    parts: Sequence[Part],
    work: Callable[[Sequence[Part]], None],
    kind: type[ApiError] = ApiError,
    *,
    in_order: bool = False,
) -> dict[Part, FundamentalsError]:
    """Do the work for all tickers (or rows), in halves where it fails; return each one's error.

    Only errors of `kind`. What would fail for all (key, plan, endpoint gone) is not tried
    again in halves. Each level is finished before the next, so that where one ticker fails the
    other half soon shows the client that the API is not down; or else `in_order`.
    """
    failed: dict[Part, FundamentalsError] = {}
    todo = deque([parts])
    while todo:
        some = todo.popleft()
        try:
            work(some)
        except (UnauthorizedError, NotEntitledError, NotFoundError, RetiredError) as error:
            failed |= dict.fromkeys(some, error)
        except kind as error:
            if len(some) == 1:
                failed[some[0]] = error
            else:
                halves = some[: len(some) // 2], some[len(some) // 2 :]
                if in_order:
                    todo.extendleft(reversed(halves))
                else:
                    todo.extend(halves)
    return failed


def raw_rows(body: bytes) -> list[bytes]:
    """Return the rows of a page, each as it stands in the answer."""
    return [bytes(row) for row in _DECODER.decode(body).results or ()]


def page_of(rows: Sequence[bytes]) -> bytes:
    """Return a page that holds rows as they stood in an answer."""
    return b'{"results":[' + b",".join(rows) + b"]}"


def skip_bad_rows(
    bodies: Sequence[bytes], work: Callable[[Sequence[bytes]], None]
) -> dict[bytes, FundamentalsError]:
    """Do the work for some pages; return the rows that it had to skip, with their errors."""
    try:
        work(bodies)
    except ContentError as error:
        try:
            rows = [row for body in bodies for row in raw_rows(body)]
        except RecursionError:  # as deep as can just be read
            raise error from None
        # Of two rows under one key the later one of the answer stands.
        return bisect_failures(
            rows,
            lambda some: work([page_of(some)]),
            ContentError,
            in_order=True,
        )
    return {}


def raise_skipped(client: Client, skipped: dict[bytes, FundamentalsError]) -> None:
    """Raise ContentError, which shows the first skipped row, if there is any."""
    for row, error in skipped.items():
        text = client.quoted(row.decode(errors="replace"), 120)
        raise ContentError(
            f"{len(skipped)} rows were left out and all others stored; the first begins {text}: "
            f"{error}"
        ) from error
