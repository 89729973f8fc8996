"""The page at `/docs`: the OpenAPI description as HTML that loads nothing from anywhere.

FastAPI's own page takes its script from a public CDN, which a machine without a way to the internet
cannot load, and which would see what a reader types into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .75rem;"
    "border-bottom:1px solid #ccc;vertical-align:top}code{white-space:nowrap}"
)


def docs_page(described: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI description: its addresses and their parameters."""
    info = described["info"]
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        '<p>As OpenAPI: <a href="openapi.json">openapi.json</a></p>'
    ]
    for path, methods in described["paths"].items():
        asked = methods["get"]
        parts.append(f"<h2><code>GET {escape(path)}</code></h2><p>{escape(asked['summary'])}</p>")
        rows = "".join(_row(parameter) for parameter in asked.get("parameters", ()))
        if rows:
            head = "<tr><th>parameter</th><th>values</th><th>default</th><th></th></tr>"
            parts.append(f"<table>{head}{rows}</table>")
    return "".join(parts)


def _row(parameter: Mapping[str, Any]) -> str:
    schema = parameter["schema"]
    kinds = [k for k in schema.get("anyOf", [schema]) if k.get("type") != "null"]
    values = " or ".join(" ".join(map(str, k.get("enum", ()))) or str(k["type"]) for k in kinds)
    if "maximum" in schema:
        values += f", {schema['minimum']} to {schema['maximum']}"
    cells = (values, str(schema.get("default", "")), str(parameter.get("description", "")))
    name = f"<td><code>{escape(parameter['name'])}</code></td>"
    return f"<tr>{name}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
