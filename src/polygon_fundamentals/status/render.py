"""The status as JSON, as a page and as markdown. Values are data from outside: escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape

from polygon_fundamentals.reports import counted
from polygon_fundamentals.status.checks import age_days, alarms, freshness
from polygon_fundamentals.status.figures import Figures
from polygon_fundamentals.status.row import POINTER, TARGET, Row

DATASET_COLUMNS = (
    "dataset",
    "records",
    "tickers",
    "periods",
    "newest filing",
    "age",
    "files",
    "MB",
)
# What a reader would else take for data that is missing.
DATASET_NOTE = (
    "Periods are counted once per company, records once per ticker. v1 dates a period by its first "
    "filing, v2 by its latest."
)
_STYLE = """
:root{color-scheme:light dark;--text:#1c2733;--back:#fff;--line:#d8dee6;--soft:#5c6873;
--ok:#116329;--bad:#a40e26;--panel:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--text:#dfe6ee;--back:#12181f;--line:#2c3742;--soft:#9aa7b3;
--ok:#57c26b;--bad:#ff7b86;--panel:#1a222b}}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;
color:var(--text);background:var(--back)}
h1{font-size:1.6rem;margin:0;border-left:6px solid;padding:.5rem .8rem;background:var(--panel)}
h1,td{overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.8rem 0 .3rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.mark{width:4rem;font-weight:600;white-space:nowrap}td.what{width:13rem}
div{overflow-x:auto}div td{white-space:nowrap}
.ok{color:var(--ok)}.bad{color:var(--bad)}.soft,.open td{color:var(--soft)}
.option{white-space:nowrap}
@media(max-width:40rem){td.mark,td.what{display:inline-block;width:auto;border:0;padding-bottom:0}
td.detail{display:block;padding-top:0}
div table,div tbody,div tr{display:block}div thead{display:none}
div tr{border-bottom:1px solid var(--line);padding:.4rem 0}
div td,div td.n{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.05rem 0;
white-space:normal}
div td:first-child{font-weight:600}
div td[data-label]::before{content:attr(data-label);color:var(--soft)}}
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
    """Return what stands before a row: `ok`, `not ok`, or `–` where it is not judged."""
    return "–" if row.ok is None else "ok" if row.ok else "not ok"


def groups(figures: Figures, rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows below their headings: what needs a person first, the performance last."""
    shown = beside_datasets(figures, rows)
    calm = [row for row in shown if row.ok is not False and row.kind != TARGET]
    listed = [
        ("Needs attention", alarms(shown)),
        ("Checked", [row for row in calm if row.ok]),
        ("Not judged: no fault, each row says why", [row for row in calm if row.ok is None]),
        ("Performance", [row for row in shown if row.ok is not False and row.kind == TARGET]),
    ]
    return [(heading, members) for heading, members in listed if members]


def verdict(rows: Sequence[Row]) -> str:
    """Return the status in a few words."""
    if bad := len(alarms(rows)):
        return f"{counted(bad, 'thing')} {'needs' if bad == 1 else 'need'} attention"
    # Where readers are led, and how fast a load was, says nothing of how the lake fares.
    judged = (row.ok and row.kind != TARGET and row.name != POINTER for row in rows)
    return "All is well" if any(judged) else "Nothing to judge yet"


def dataset_cells(figures: Figures) -> list[tuple[str, ...]]:
    """Return a line of cells a dataset, as DATASET_COLUMNS names them."""
    return [
        (
            f"{d.generation} {d.statement}",
            f"{d.records:,}",
            f"{d.tickers:,}",
            f"{d.periods:,}",
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
    said = verdict(rows)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{said}: status of {escape(figures.lake)}</title><style>{_STYLE}</style>",
        f"<h1 class={'bad' if alarms(rows) else 'ok'}>{said}</h1>",
        f"<p class=soft>{escape(summary(figures, rows))}</p>",
    ]
    for heading, members in groups(figures, rows):
        parts.append(f"<h2>{heading}</h2><table>")
        for row in members:
            kind = {True: "ok", False: "bad", None: "open"}[row.ok]
            parts.append(
                f"<tr class={kind if row.ok is None else 'row'}><td class='mark {kind}'>{mark(row)}"
                f"<td class=what>{escape(row.name)}<td class=detail>{_with_code(row.detail)}</tr>"
            )
        parts.append("</table>")
    parts += [
        "<h2>Datasets</h2>",
        *_table(DATASET_COLUMNS, dataset_cells(figures), numbers=True),
        f"<p class=soft>{DATASET_NOTE}</p>",
        "<h2>Last runs</h2>",
        *_table(RUN_COLUMNS, run_cells(figures)),
    ]
    return "\n".join([*parts, "</html>"]) + "\n"


def _with_code(text: str) -> str:
    """Return a text as HTML, what stands between backticks as code whose options do not break."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"(?<=\s)(--[a-z0-9-]+)", r"<span class=option>\1</span>", code)


def summary(figures: Figures, rows: Sequence[Row]) -> str:
    """Return what readers see, how many rows are of which kind, when and where."""
    shown = beside_datasets(figures, rows)
    ok, bad, left = (sum(row.ok is state for row in shown) for state in (True, False, None))
    counts = ", ".join(
        f"{count} {words}"
        for count, words in ((bad, "not ok"), (ok, "ok"), (left, "not judged"))
        if count
    )
    moment = f"{figures.at:%Y-%m-%d %H:%M} UTC"
    return f"Readers see {figures.primary} · {counts} · {moment} · {figures.lake}"


def _table(
    columns: Sequence[str], lines: Sequence[Sequence[str]], numbers: bool = False
) -> Iterator[str]:
    kind = " class=n" if numbers else ""
    head = "".join(f"<th{kind if n else ''}>{escape(name)}</th>" for n, name in enumerate(columns))
    yield f"<div><table><thead><tr>{head}</tr></thead>"
    for line in lines:
        first, *rest = line
        cells = "".join(
            f"<td{kind} data-label='{escape(name)}'>{escape(cell)}</td>"
            for name, cell in zip(columns[1:], rest, strict=True)
        )
        yield f"<tr><td>{escape(first)}</td>{cells}</tr>"
    yield "</table></div>"


def as_markdown(figures: Figures, rows: Sequence[Row]) -> str:
    """Return the status as markdown, for an artifact."""

    def text(raw: str) -> str:
        # Prefect's UI shows the entity of a quotation mark as it stands.
        return escape(raw, quote=False)

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(text(c).replace("|", "\\|") for c in cells) + " |"

    parts = [f"## {verdict(rows)}", "", text(summary(figures, rows))]
    for heading, members in groups(figures, rows):
        parts += ["", f"### {heading}", ""]
        # A list and no table: Prefect's UI cuts a cell that is longer than the page.
        parts += [
            f"- {'' if row.ok is None else f'{mark(row)} · '}**{text(row.name)}**: "
            f"{text(row.detail)}"
            for row in members
        ]
    parts += ["", "### Datasets", "", line(DATASET_COLUMNS)]
    parts += [line(["---"] * len(DATASET_COLUMNS))]
    parts += [line(cells) for cells in dataset_cells(figures)]
    return "\n".join([*parts, "", DATASET_NOTE]) + "\n"
