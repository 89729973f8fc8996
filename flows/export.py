"""`export`: v2's records in v1's nested form, for readers that cannot change yet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from prefect import flow, runtime

from flows.parameters.lake import ExportParameters
from flows.runs import Report
from flows.runtime.progress import still_running
from flows.signature import takes
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.v1_view import export as view


def _run_name() -> str:
    return f"export in v1's form to {runtime.flow_run.parameters['output']}"


@flow(name="export", flow_run_name=_run_name, persist_result=False)
@takes(ExportParameters)
def export(given: ExportParameters) -> Report:
    """Write the whole lake into a new folder, in v1's form and layout."""
    where, output = Lake(existing_lake_root(given.lake)), Path(given.output)
    statements, differing = given.statements, given.differing
    with still_running("export"):
        rows = view.export_folder(
            where,
            output,
            statements,
            differing=differing,
            continue_v1=given.continue_v1,
            dates=given.dates,
        )
    return {
        "shape": "v1",
        "output": str(output.absolute()),
        "rows": rows,
        "left_out": [asdict(item) for item in view.loss(statements, differing=differing)],
        "lake": str(where.root),
        "exit_code": 0,
        "message": f"{sum(rows.values()):,} records in v1's form in {output}",
    }
