"""Whether the background work of `serve-v1` follows the lake: what `/health` says."""

from __future__ import annotations

import logging
import time
from concurrent.futures.process import BrokenProcessPool

from polygon_fundamentals.errors import FundamentalsError

# So long the lake may fail to be read before `/health` says so.
FAILING_SECONDS = 120.0

log = logging.getLogger("polygon_fundamentals.serve_v1")


class Upkeep:
    """Whether the looks at the lake succeed: one thread notes it, others ask."""

    def __init__(self) -> None:
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        self._failing_since = None

    def failed(self, error: Exception) -> None:
        """Note that a look failed, and log why; with a traceback if the error is unexpected."""
        self._failing_since = self._failing_since or time.monotonic()
        foreseen = isinstance(error, (FundamentalsError, OSError, BrokenProcessPool))
        text = "the lake is read again in a moment: %s"
        log.warning(text, error or type(error).__name__, exc_info=None if foreseen else error)

    @property
    def is_well(self) -> bool:
        """Whether no failure has lasted for minutes."""
        since = self._failing_since
        return since is None or time.monotonic() - since <= FAILING_SECONDS
