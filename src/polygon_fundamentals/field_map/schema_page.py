"""The schema reference, docs/schema.md, rendered from the field map.

`python -m polygon_fundamentals.field_map.schema_page > docs/schema.md` renews the page.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from polygon_fundamentals.field_map import FIELD_MAP, RATIO_FIELDS, RECORD_FIELDS, entries
from polygon_fundamentals.field_map.entries import FieldEntry, Relation
from polygon_fundamentals.statements import Statement

_TITLES = {
    Statement.BALANCE_SHEETS: "Balance sheets",
    Statement.CASH_FLOW: "Cash-flow statements",
    Statement.INCOME_STATEMENTS: "Income statements",
}
_SECTION_TITLES = {
    "income_statement": "v1 section `income_statement`",
    "comprehensive_income": "v1 section `comprehensive_income`",
}
_INTRODUCTION = """\
# Schema reference

Generated from the field map (`src/polygon_fundamentals/field_map/`); a test keeps it current.
Renew it with `python -m polygon_fundamentals.field_map.schema_page > docs/schema.md`.

v1 is `GET /vX/reference/financials`; v2 is `GET /stocks/financials/v1/...`. Labels and order are
v1's, which v2 no longer sends; a field that only v2 has carries a readable name instead.

## Columns of the files

| column | v1's files | v2's files |
| --- | --- | --- |
| `ticker` | the file's symbol | the same |
| record fields | one column each, under v1's name | one column each, under v2's name |
| lines | inside the column `financials`, a struct of sections, each a struct of lines: \
`financials.balance_sheet.assets.value`, and beside it `unit`, `label`, `order` | one column of \
type double each, under v2's name |
| `absent_fields` | the known keys that the answer did not carry, as a list, to tell absent \
from null | the same |
| `unmapped` | JSON text with keys that the map does not know, and numbers that a double would \
change; null where there are none | the same |
| `observed_at` | when this content was first seen, UTC | the same |

In the tables below a v1 line of the section `balance_sheet` is a member of
`financials.balance_sheet`. `export --shape v1` writes v1's form; `silver` has one flat schema.

## Relations

The counts are of the statements' lines, without the record fields.

| relation | means | fields |
| --- | --- | ---: |
"""
_RATIOS = """
## Ratios

Dataset `ratios` in `bronze/ratios_v2`, v2 path `/stocks/financials/v1/ratios`: one row per ticker
and day; its columns are `ticker`, `cik`, `date` (the trading day) and the fields below, all of type
double, and the last three of the table above. The definitions are the vendor's, who omits a field
that cannot be calculated. [ratios.md](ratios.md) says how they are loaded, and why they look ahead.

| field | unit | definition |
| --- | --- | --- |
"""
_MEANINGS = {
    Relation.EXACT: "the same quantity with the same sign",
    Relation.SIGN_FLIPPED: "the same quantity, v2 with the opposite sign",
    Relation.DEFINITION_DIFFERS: "a shared name or place, and not always the same quantity",
    Relation.V1_ONLY: "v2 has no such field",
    Relation.V2_ONLY: "v1 has no such line",
}


def render_schema_reference() -> str:
    """Return the schema page as markdown: every field, relation, label, unit and note."""
    counts = Counter(entry.relation for entry in FIELD_MAP)
    parts = [_INTRODUCTION]
    parts += [f"| `{r.value}` | {_MEANINGS[r]} | {counts[r]} |\n" for r in Relation]
    parts.append("\n## Record fields\n\nOutside the statements' lines.\n\n")
    parts.append("| v1 | v2 | relation | note |\n| --- | --- | --- | --- |\n")
    parts += [
        f"| {_code(f.v1)} | {_code(f.v2)} | {f.relation.value} | {f.note} |\n"
        for f in RECORD_FIELDS
    ]
    for statement in Statement:
        parts.append(f"\n## {_TITLES[statement]}\n\n")
        parts.append(f"Dataset `{statement.value}`, v2 path `{statement.v2_path}`.\n")
        rows = entries(statement)
        for section in statement.v1_sections:
            if len(statement.v1_sections) > 1:
                parts.append(f"\n### {_SECTION_TITLES[section]}\n")
            parts += _table(e for e in rows if e.v1_section == section)
        parts.append("\n### Only in v2\n")
        parts += _table(e for e in rows if e.relation is Relation.V2_ONLY)
    parts.append(_RATIOS)
    parts += [f"| `{f.name}` | {f.unit} | {f.meaning} |\n" for f in RATIO_FIELDS]
    return "".join(parts)


def _table(rows: Iterable[FieldEntry]) -> list[str]:
    lines = [
        "\n| v1 | v2 | relation | label | order | unit | evidence | note |\n",
        "| --- | --- | --- | --- | ---: | --- | --- | --- |\n",
    ]
    for e in rows:
        order = "" if e.order is None else str(e.order)
        cells = (
            _code(e.v1),
            _code(e.v2),
            e.relation.value,
            e.label,
            order,
            e.unit.value,
            e.confidence.value,
            e.note,
        )
        lines.append("| " + " | ".join(cells) + " |\n")
    return lines


def _code(name: str | None) -> str:
    return "" if name is None else f"`{name}`"


if __name__ == "__main__":
    sys.stdout.write(render_schema_reference())
