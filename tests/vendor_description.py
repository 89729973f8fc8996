"""The vendor's OpenAPI description, where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DESCRIPTION = Path(__file__).resolve().parents[2] / "shared" / "api" / "openapi_financials.json"
needs_description = pytest.mark.skipif(
    not DESCRIPTION.is_file(), reason=f"the vendor's description is not at {DESCRIPTION}"
)


def _with_nulls(schema: Any) -> Any:
    """Allow null beside numbers and dates: the real API sends it, its description forgets it."""
    if isinstance(schema, dict):
        changed = {key: _with_nulls(value) for key, value in schema.items()}
        if changed.get("type") == "number" or changed.get("format") == "date":
            changed["type"] = [changed["type"], "null"]
        return changed
    return [_with_nulls(item) for item in schema] if isinstance(schema, list) else schema


def described_schema(path: str, status: str) -> Any:
    """Return the schema of an answer, with what its description forgets."""
    described = json.loads(DESCRIPTION.read_text())["paths"][path]["get"]["responses"]
    schema = described[status]["content"]["application/json"]["schema"]
    if path == "/vX/reference/financials":
        record = schema["properties"]["results"]["items"]["properties"]
        record["filing_date"] = {"type": ["string", "null"]}
    return _with_nulls(schema)
