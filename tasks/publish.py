"""The task of publishing, and where its credentials come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.blocks.system import Secret
from prefect.exceptions import PrefectException
from prefect.states import Completed, State

from polygon_fundamentals.errors import FundamentalsError, UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.publish.target import PublishChoices, Target
from tasks.states import failed


def options_of(block: str | None) -> dict[str, str]:
    """Return the options for a store that a Secret block holds; none without a block.

    Raises:
        UsageError: there is no such block, or its value is no JSON object of texts. The text never
            holds a value.
    """
    if block is None:
        return {}
    try:
        loaded: Any = Secret.load(block)
    except (ValueError, PrefectException) as error:
        raise UsageError(
            f"there is no Secret block {block!r} on the Prefect server (PREFECT_API_URL names it); "
            'create it with a JSON object as its value: {"AWS_ACCESS_KEY_ID": ..., '
            '"AWS_SECRET_ACCESS_KEY": ...}'
        ) from error
    value = loaded.get()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UsageError(f"the Secret block {block!r} must hold a JSON object of names and texts")
    return value


@task(name="publish", task_run_name="publish · {label}", persist_result=False)
def publish_tables(
    lake: str,
    label: str,
    run: str,
    to: str,
    block: str | None,
    choices: PublishChoices,
) -> State[Any]:
    """Publish the build that readers see."""
    try:
        from polygon_fundamentals.publish.publish import publish
    except ModuleNotFoundError as error:
        return failed(_not_installed(error))
    try:
        target = Target.of(to, options_of(block))
        report = publish(Lake(Path(lake)), target, run, choices)
    except (FundamentalsError, OSError) as error:
        return failed(error)
    get_run_logger().info(report.message)
    return Completed(message=report.message, data={**report.as_json(), "message": report.message})


def _not_installed(error: ModuleNotFoundError) -> UsageError:
    if error.name != "deltalake":
        raise error
    return UsageError(
        "publish needs the package deltalake; install it with `pip install -c constraints.txt "
        "'.[publish]'`"
    )
