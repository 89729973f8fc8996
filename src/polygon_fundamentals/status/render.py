"""The status as JSON, as a page and as markdown. Values are data from outside: escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape

from polygon_fundamentals.status.checks import age_days, alarms, freshness
from polygon_fundamentals.status.figures import Figures
from polygon_fundamentals.status.row import Row

DATASET_COLUMNS = (
    "dataset",
    "records",
    "tickers",
    "periods",
    "first filed",
    "last filed",
    "age",
    "files",
    "MB",
)
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;
color:#1c2733;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;border-bottom:1px solid #d8dee6;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
div{overflow-x:auto}h1{overflow-wrap:anywhere}code{white-space:nowrap}
tr.bad td{background:#fdecea}tr.open td{color:#5c6873}.mark{font-weight:600}
@media(prefers-color-scheme:dark){body{color:#dfe6ee;background:#12181f}
th,td{border-color:#2c3742}tr.bad td{background:#4a2220}tr.open td{color:#9aa7b3}}
"""


def as_json(figures: Figures, rows: Sequence[Row]) -> dict[str, object]:
    """Return the status as plain JSON: `rows`, and the figures behind them."""
    row = figures.days_in_a_row
    return {
        "lake": figures.lake,
        "at": figures.at.isoformat(),
        "ok": not alarms(rows),
        "rows": [{"name": row.name, "ok": row.ok, "detail": row.detail} for row in rows],
        "warnings": [f"{row.name}: {row.detail}" for row in alarms(rows)],
        "not_judged": [row.name for row in rows if row.ok is None],
        "primary": figures.primary,
        "pointer": figures.pointer,
        "datasets": [
            {
                "generation": d.generation.value,
                "statement": d.statement.value,
                "records": d.records,
                "tickers": d.tickers,
                "periods": d.periods,
                "first_filed": d.first_filed.isoformat() if d.first_filed else None,
                "last_filed": d.last_filed.isoformat() if d.last_filed else None,
                "undated": d.undated,
                "freshness_days": age_days(d, figures),
                "files": d.files,
                "bytes": d.bytes,
                "unreadable": list(d.unreadable),
            }
            for d in figures.datasets
        ],
        "runs": [{**asdict(line), "started": line.started.isoformat()} for line in figures.runs],
        "days_in_a_row": len(row),
        "days_in_a_row_until": row[-1].isoformat() if row else None,
        "time_ratio": figures.time_ratio,
        "storage_ratio": figures.storage_ratio,
        "targets": [
            {
                "name": m.name,
                "title": m.target.title,
                "unit": m.target.unit,
                "target": m.target.target,
                "acceptable": m.target.acceptable,
                "measured": m.measured,
                "verdict": m.verdict,
                "missing": m.missing,
            }
            for m in figures.targets
        ],
        "parity": dict(figures.parity) if figures.parity else None,
        "published": [
            {**asdict(place), "at": place.at.isoformat() if place.at else None}
            for place in figures.published
        ],
        "v1": asdict(figures.v1),
        "refreshed": figures.refreshed.isoformat() if figures.refreshed else None,
        "damaged": list(figures.damaged),
    }


def beside_datasets(figures: Figures, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that go below the table of datasets: not those whose figures it shows."""
    names = {f"{d.generation} {d.statement}" for d in figures.datasets}
    return [row for row in rows if row.ok is False or row.name not in names]


def mark(row: Row) -> str:
    """Return what stands before a row: `ok`, `--` where it is not judged, or `!`."""
    return "--" if row.ok is None else "ok" if row.ok else "!"


def dataset_cells(figures: Figures) -> list[tuple[str, ...]]:
    """Return a line of cells a dataset, as DATASET_COLUMNS names them."""
    return [
        (
            f"{d.generation} {d.statement}",
            f"{d.records:,}",
            f"{d.tickers:,}",
            f"{d.periods:,}",
            str(d.first_filed or "–"),
            str(d.last_filed or "–"),
            freshness(d, figures),
            f"{d.files:,}",
            f"{d.bytes / 1e6:,.1f}",
        )
        for d in figures.datasets
    ]


def run_cells(figures: Figures) -> list[tuple[str, ...]]:
    """Return a line of cells a run: flow, generation, start, duration, outcome."""
    return [
        (
            line.flow,
            line.generation,
            f"{line.started:%Y-%m-%d %H:%M} UTC",
            f"{line.seconds:,.1f} s",
            line.outcome,
        )
        for line in figures.runs
    ]


RUN_COLUMNS = ("flow", "generation", "started", "duration", "outcome")


def as_html(figures: Figures, rows: Sequence[Row]) -> str:
    """Return the status as one page that needs nothing from the network."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>Status of {escape(figures.lake)}</title><style>{_STYLE}</style>",
        f"<h1>Status of {escape(figures.lake)}</h1>",
        f"<p>{figures.at:%Y-%m-%d %H:%M} UTC · {summary(beside_datasets(figures, rows))}</p>",
        "<h2>Datasets</h2>",
        *_table(DATASET_COLUMNS, dataset_cells(figures), numbers=True),
        "<h2>Last runs</h2>",
        *_table(RUN_COLUMNS, run_cells(figures)),
        "<h2>Judged</h2><table><thead><tr><th></th><th>what</th><th>detail</th></tr></thead>",
    ]
    for row in beside_datasets(figures, rows):
        kind = {True: "", False: " class=bad", None: " class=open"}[row.ok]
        parts.append(
            f"<tr{kind}><td class=mark>{mark(row)}</td><td>{escape(row.name)}</td>"
            f"<td>{_with_code(row.detail)}</td></tr>"
        )
    return "\n".join([*parts, "</table></html>"]) + "\n"


def _with_code(text: str) -> str:
    """Return a text as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def summary(rows: Sequence[Row]) -> str:
    """Return how many rows are ok, not ok and not judged."""
    ok, bad, left = (sum(row.ok is state for row in rows) for state in (True, False, None))
    return f"{ok} ok · {bad} not ok · {left} not judged (--)"


def _table(
    columns: Sequence[str], lines: Sequence[Sequence[str]], numbers: bool = False
) -> Iterator[str]:
    kind = " class=n" if numbers else ""
    head = "".join(f"<th{kind if n else ''}>{escape(name)}</th>" for n, name in enumerate(columns))
    yield f"<div><table><thead><tr>{head}</tr></thead>"
    for line in lines:
        first, *rest = line
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for cell in rest)
        yield f"<tr><td>{escape(first)}</td>{cells}</tr>"
    yield "</table></div>"


def as_markdown(figures: Figures, rows: Sequence[Row]) -> str:
    """Return the status as markdown, for an artifact."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(escape(c).replace("|", "\\|") for c in cells) + " |"

    parts = [f"{figures.lake} at {figures.at:%Y-%m-%d %H:%M} UTC", ""]
    parts += [line(DATASET_COLUMNS), line(["---"] * len(DATASET_COLUMNS))]
    parts += [line(cells) for cells in dataset_cells(figures)]
    parts += ["", line(["", "what", "detail"]), line(["---"] * 3)]
    for row in beside_datasets(figures, rows):
        parts.append(line(["WARNING" if row.ok is False else mark(row), row.name, row.detail]))
    return "\n".join(parts) + "\n"
