"""The artifacts of a run in the Prefect UI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

MISSING_SHOWN = 200


def publish_load(flow_name: str, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Publish what was loaded as a table, and what is missing as a second one."""
    create_table_artifact(
        key=f"{flow_name}-loaded",
        description="What was loaded, by generation. Rows are counted once per ticker file.",
        table=[
            {
                "generation": name,
                "units": report["units"],
                "missing": len(report["failed"]),
                "rows new": report["rows_new"],
                "rows changed": report["rows_changed"],
                "rows unchanged": report["rows_unchanged"],
                "requests": report["requests"],
                "retries": report["retries"],
                "seconds": report["seconds"],
                "bytes written": report["bytes_written"],
            }
            for name, report in reports.items()
        ],
    )
    missing = [
        {"generation": name, **unit}
        for name, report in reports.items()
        for unit in report["failed"]
    ]
    if missing:
        create_table_artifact(
            key=f"{flow_name}-missing",
            description=f"{len(missing):,} units are missing; the first {MISSING_SHOWN} of them. "
            "Run again to fetch them.",
            table=missing[:MISSING_SHOWN],
        )


def publish_text(key: str, markdown: str, description: str) -> None:
    create_markdown_artifact(key=key, markdown=markdown, description=description)
