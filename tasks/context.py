"""What the tasks of one run share in a process: the client, the lake, the writers.

A task gets small JSON parameters only, so it finds these by the run they belong to. The
API key is read here, inside the run, and never becomes a parameter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

from prefect.blocks.system import Secret
from prefect.exceptions import PrefectException
from pydantic import BaseModel, ConfigDict

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.http.client import Client
from polygon_fundamentals.http.rate_limit import FileRateLimit, NoRateLimit, RateLimit
from polygon_fundamentals.keys import usable_key
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.writers import Inline, Processes, Writers
from polygon_fundamentals.server import SECRET_BLOCK
from polygon_fundamentals.settings import (
    Settings,
    api_key,
    lake_root,
    load_settings,
    server_configured,
)
from tasks.server_limit import ServerRateLimit


class RunSpec(BaseModel):
    """Which run a task belongs to, and where it reads from and writes to.

    `accepted`: the file of accepted differences, where it is not the project's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    lake: str
    base_url: str | None = None
    processes: int = 0
    accepted: str | None = None


class Context:
    """The shared things of a run; sessions, limit and key live only in memory."""

    def __init__(self, spec: RunSpec) -> None:
        self.lake = Lake(lake_root(spec.lake))
        self.settings = load_settings(spec.base_url)
        self.client = Client(self.settings, find_key(), rate_limit(self.lake, self.settings))
        self.writers: Writers = Processes(spec.processes) if spec.processes > 1 else Inline()


@lru_cache(maxsize=4)
def context(spec: RunSpec) -> Context:
    """Return the run's shared things, made when the first task of the process asks."""
    return Context(spec)


def close(spec: RunSpec) -> None:
    """Release what the run held in this process, if it came to hold anything."""
    if context.cache_info().currsize:
        context(spec).writers.close()
    context.cache_clear()


def find_key() -> str:
    """Return the API key: from the environment, else from the Secret block of the server.

    Raises:
        UsageError: neither holds one, or one that cannot stand in a header.
    """
    try:
        return api_key()
    except UsageError:
        if not server_configured():
            raise
    try:
        block = Secret.load(SECRET_BLOCK)
    except (ValueError, PrefectException) as error:
        raise UsageError(
            "no API key: set POLYGON_API_KEY in the worker's environment, or create the Secret "
            f"block {SECRET_BLOCK!r} (`make deploy` does, from your environment)"
        ) from error
    return usable_key(str(cast(Secret[str], block).get()), f"the Secret block {SECRET_BLOCK!r}")


def rate_limit(lake: Lake, settings: Settings) -> RateLimit:
    """Return the limit that the run's requests share with other runs.

    With a configured server all runs on all machines share its global concurrency limit;
    without one, those of this host share a file.

    Raises:
        UsageError: a server is configured, and the limit is missing or inactive there.
    """
    host = urlsplit(settings.base_url).netloc.replace(":", "_")
    if server_configured():
        state = lake.ops / "locks" / f"rate-server-{host}.json"
        return ServerRateLimit(state, settings.requests_per_minute)
    if settings.requests_per_minute is None:
        return NoRateLimit()
    return FileRateLimit(lake.ops / "locks" / f"rate-{host}.bin", settings.requests_per_minute)
