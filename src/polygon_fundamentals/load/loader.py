"""What the loads of a task share: the client that asks, the lake, and who writes to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import pyarrow as pa

from polygon_fundamentals.errors import ContentError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.store import StoreJob
from polygon_fundamentals.load.writers import Inline, Writers

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
Result = TypeVar("Result")


@dataclass(frozen=True)
class Loader:
    """The client, the lake and the writers of a load."""

    client: Client
    lake: Lake
    writers: Writers = field(default_factory=Inline)

    def store_rows(
        self, request: str, function: Callable[[StoreJob], Result], job: StoreJob
    ) -> Result:
        """Return what a store function returns of the rows that a request gave.

        Raises:
            ContentError: a row has a value of an unexpected kind.
            LakeError, OSError: the lake cannot be used.
        """
        try:
            return self.writers.run(function, job)
        except _UNFIT as error:
            log.info("rows of %s cannot be stored", request, exc_info=True)
            raise ContentError(
                f"{request} answered 200, but its rows cannot be stored ({type(error).__name__}: "
                f"{self.client.quoted(error, 100)}); report this request and its answer, then "
                "run again"
            ) from error
