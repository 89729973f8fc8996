"""How a command runs its flow: the checks that need no Prefect, the server, and the printing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from flows.commands.output import Lines, finish
from flows.commands.report_lines import switch_lines
from flows.parameters.declaration import Parameters
from flows.runtime import quiet, temporary_server
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.settings import (
    api_key,
    existing_lake_root,
    load_settings,
    new_lake_root,
    server_configured,
)


def check_load(lake: str | None, base_url: str | None, *, makes_lake: bool) -> None:
    """Refuse what can be refused without Prefect and without a request; make the lake's folders.

    Raises:
        UsageError: unusable settings, no key, or a lake that cannot be written or is not there
            while none may be made.
    """
    load_settings(base_url)
    if not server_configured():
        api_key()
    root = new_lake_root if makes_lake else existing_lake_root
    Lake(root(lake)).prepare()


def run_flow(
    flow: str,
    values: dict[str, object],
    lines: Lines,
    as_json: bool,
    prepared: Callable[[Any], Any] = lambda flow: flow,
) -> int:
    """Run a flow (`module.name`) on a Prefect server; print its report, return the exit code.

    Prefect is imported here, while a temporary server starts. `prepared` may change the flow.
    """
    with temporary_server.started() as wait:
        quiet.import_prefect()
        module, _, name = flow.rpartition(".")
        ready = prepared(getattr(import_module(module), name))
        wait()
        state = ready(**values, return_state=True)
    return finish(state, lines, as_json)


def run_here(flow: str, given: Parameters, lines: Lines, as_json: bool) -> int:
    """Run a flow's body (`module.name`) without Prefect's engine; print its report.

    A rollback must neither wait for a server to start nor fail because one is down.
    """
    quiet.import_prefect()
    from flows.runs import finish_flow
    from flows.signature import body_of

    module, _, name = flow.rpartition(".")
    body = body_of(getattr(import_module(module), name))
    return finish(finish_flow(lambda: body(given)), lines, as_json)


def here(flow: str, lines: Lines = switch_lines) -> Callable[[Parameters, bool], int]:
    """Return what a command calls whose flow runs without Prefect's engine."""
    return lambda given, as_json: run_here(flow, given, lines, as_json)
