"""What a row says, in one comparable form, whether it was served or is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

V1_SECTIONS = {
    "balance_sheets": ["balance_sheet"],
    "cash_flow": ["cash_flow_statement"],
    "income_statements": ["income_statement", "comprehensive_income"],
}
_OURS = ("ticker", "absent_fields", "unmapped", "observed_at")


def v2_facts(row: Mapping[str, Any]) -> str:
    """Return a row of v2, stored or served, in one comparable form: what the API said."""
    skipped = {*_OURS, *(row.get("absent_fields") or ())}
    extra = json.loads(row.get("unmapped") or "{}")
    facts = {k: v for k, v in row.items() if k not in skipped} | extra
    return json.dumps({k: _plain(v) for k, v in facts.items()}, sort_keys=True)


def v1_facts(row: Mapping[str, Any], statement: str) -> str:
    """Return the part of a v1 record that a dataset keeps, in one comparable form."""
    sections = {}
    for name in V1_SECTIONS[statement]:
        lines = (row.get("financials") or {}).get(name) or {}
        sections[name] = {
            field: {k: _plain(v) for k, v in leaf.items() if v is not None}
            for field, leaf in lines.items()
            if leaf is not None
        }
    record = {
        k: _plain(v) for k, v in row.items() if v is not None and k not in (*_OURS, "financials")
    }
    return json.dumps({**record, "financials": sections}, sort_keys=True)


def digest(generation: str, statement: str, row: Mapping[str, Any]) -> str:
    """Return a short text that stands for what a row says in a dataset."""
    facts = v1_facts(row, statement) if generation == "v1" else v2_facts(row)
    return blake2b(f"{generation}|{statement}|{facts}".encode(), digest_size=10).hexdigest()


def v1_statements(row: Mapping[str, Any]) -> list[str]:
    """Return the statements whose datasets hold a v1 record."""
    known = {section for sections in V1_SECTIONS.values() for section in sections}
    present = known.intersection(row.get("financials") or ())
    return [name for name, own in V1_SECTIONS.items() if not present or present.intersection(own)]


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | list) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value) + 0.0  # one zero of -0.0 and 0.0
    return str(value)
