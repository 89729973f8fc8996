"""What fails as a whole is done in halves, until the guilty ticker or row is alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

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
from polygon_fundamentals.load.writers import Writers

log = logging.getLogger(__name__)

# What Python, Arrow and msgspec raise of a value that is not as expected. The lake's own troubles
# are LakeError and OSError, and none of these.
_UNFIT = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    pa.ArrowNotImplementedError,
    pa.ArrowCapacityError,
    msgspec.MsgspecError,
)
Part = TypeVar("Part", str, bytes)


class _Results(msgspec.Struct):
    results: list[msgspec.Raw] | None = None


_DECODER = msgspec.json.Decoder(_Results)  # made with the module, see http/answers.py


def taken_in(
    client: Client, writers: Writers, asked: str, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Return what a store function returns of the rows that the request `asked` gave.

    Raises:
        ContentError: something in a row is of a kind that nobody foresaw.
        LakeError, OSError: the lake cannot be used.
    """
    try:
        return writers.run(function, *arguments)
    except _UNFIT as error:
        log.info("rows of %s cannot be taken in", asked, exc_info=True)
        raise ContentError(
            f"{asked} answered 200, but its rows cannot be taken in ({type(error).__name__}: "
            f"{client.quoted(error, 100)}); report this request and its answer, then run again"
        ) from error


def splitting(
    parts: Sequence[Part],
    work: Callable[[Sequence[Part]], None],
    kind: type[ApiError] = ApiError,
    *,
    in_order: bool = False,
) -> dict[Part, FundamentalsError]:
    """Do the work for all tickers (or rows), in halves where it fails; return each one's error.

    Only errors of `kind`. What would fail for all (key, plan, endpoint gone) is not tried
    again in halves. Both halves come before a quarter, so that where one ticker is guilty the
    other half soon says to the client that the API is not down; or else `in_order`.
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


def sparing(
    bodies: Sequence[bytes], work: Callable[[Sequence[bytes]], None]
) -> dict[bytes, FundamentalsError]:
    """Do the work for some pages; return the rows that it had to leave out, with their errors."""
    try:
        work(bodies)
    except ContentError as error:
        try:
            rows = [bytes(row) for body in bodies for row in _DECODER.decode(body).results or ()]
        except RecursionError:  # as deep as can just be read
            raise error from None
        # Of two rows under one key the later one of the answer stands.
        return splitting(
            rows,
            lambda some: work([b'{"results":[' + b",".join(some) + b"]}"]),
            ContentError,
            in_order=True,
        )
    return {}


def raise_left_out(client: Client, left_out: dict[bytes, FundamentalsError]) -> None:
    """Do nothing where no row was left out.

    Raises:
        ContentError: some were; it shows the first of them.
    """
    for row, error in left_out.items():
        text = client.quoted(row.decode(errors="replace"), 120)
        raise ContentError(
            f"{len(left_out)} rows were left out and all others stored; the first begins {text}: "
            f"{error}"
        ) from error
