"""`export`: v2's records in v1's nested form, for readers that cannot change yet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.states import State
from pydantic import Field

from flows.parameters import LakeFolder, Statements
from flows.runs import Report, ended
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.statements import ALL_STATEMENTS
from polygon_fundamentals.v1_view import export as view


def _run_name() -> str:
    return f"export in v1's form to {runtime.flow_run.parameters['output']}"


@flow(name="export", flow_run_name=_run_name, persist_result=False)
def export(
    output: Annotated[str, Field(description="A new folder, in the layout of bronze/fundamentals")],
    statements: Statements = ALL_STATEMENTS,
    differing: Annotated[
        bool, Field(description="Also the fields that v2 defines differently")
    ] = False,
    continue_v1: Annotated[
        bool, Field(description="v1's own records as they are, v2's only where v1 ends")
    ] = False,
    lake: LakeFolder = None,
) -> State[Any]:
    """Write the whole lake in v1's form and layout into a new folder."""

    def body() -> Report:
        where = existing_lake(lake)
        rows = view.export_folder(
            where, Path(output), statements, differing=differing, continue_v1=continue_v1
        )
        lost = [asdict(item) for item in view.loss(statements, differing=differing)]
        total = sum(rows.values())
        return {
            "shape": "v1",
            "output": str(Path(output).absolute()),
            "rows": rows,
            "left_out": lost,
            "lake": str(where.root),
            "exit_code": 0,
            "message": f"{total:,} records in v1's form in {output}",
        }

    return ended(body)


def existing_lake(folder: str | None) -> Lake:
    """Return the lake of a folder.

    Raises:
        UsageError: there is none.
    """
    return Lake(existing_lake_root(folder))
