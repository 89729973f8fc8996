"""The report of a comparison: files for machines, a page of markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from polygon_fundamentals.lake.storage.local import replacing
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.kinds import APART_KINDS, DIFFERENCE_KINDS, Kind
from polygon_fundamentals.parity.tolerances import Tolerances
from polygon_fundamentals.parity.totals import Parity

_ALONE = Kind.NOT_COMPARABLE.value
_ROWS_IN_MARKDOWN = 60
_FORMULA = r"^[=+\-@\t\r]"
_WRITE = pa_csv.WriteOptions(quoting_style="needed")


def write_report(folder: Path, all_findings: Iterable[StatementFindings]) -> dict[str, Path]:
    """Write what differs, some rows at a time; return the files.

    `values.parquet` and `values.csv` hold every value that is not matched, with what explains it;
    `missing_periods.csv`, `extra_periods.csv` and `tickers.csv` the periods of one generation
    alone and what became of each v1 ticker.
    """
    paths = {"values": folder / "values.parquet", "values_csv": folder / "values.csv"}
    paths |= {n: folder / f"{n}.csv" for n in ("missing_periods", "extra_periods", "tickers")}
    writers: dict[str, pq.ParquetWriter | pa_csv.CSVWriter] = {}
    with ExitStack() as ends:
        for findings in all_findings:
            for name, path in paths.items():
                for table in _rows(findings, name.removesuffix("_csv")):
                    rows = table if path.suffix == ".parquet" else for_spreadsheets(table)
                    if name not in writers:
                        beside = ends.enter_context(replacing(path))
                        writers[name] = ends.enter_context(_writer(beside, path, rows.schema))
                    writers[name].write_table(rows)
    return paths


def for_spreadsheets(table: pa.Table) -> pa.Table:
    """Return the table with an apostrophe before texts that a spreadsheet would calculate.

    Moments are days, since every date of a report is one.
    """
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            days = table.column(position).cast(pa.date32())
            table = table.set_column(position, field.name, days)
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            text = table.column(position)
            is_formula = pc.match_substring_regex(text, _FORMULA)
            safe = pc.binary_join_element_wise("'", text, "")
            column = pc.if_else(is_formula, safe, text)
            table = table.set_column(position, field, column.cast(field.type))
    return table


def _rows(findings: StatementFindings, name: str) -> Iterator[pa.Table]:
    for table in findings.batches(name):
        if name == "tickers":
            named = pa.repeat(pa.scalar(findings.statement.value), table.num_rows)
            table = table.append_column("statement", named)
        yield table


def _writer(beside: Path, path: Path, schema: pa.Schema) -> pq.ParquetWriter | pa_csv.CSVWriter:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(beside, schema, compression="zstd")
    return pa_csv.CSVWriter(beside, schema, write_options=_WRITE)


def budgets_table(parity: Parity, tolerances: Tolerances) -> pd.DataFrame:
    """Return each kind of finding: how many, how many are allowed, and why."""
    counts, budgets = parity.counts, tolerances.budgets
    return pd.DataFrame(
        {
            "finding": [kind.value for kind in counts],
            "count": list(counts.values()),
            "at most": [str(budgets[kind].at_most) for kind in counts],
            "reason": [budgets[kind].reason for kind in counts],
        }
    )


def fields_table(parity: Parity) -> pd.DataFrame:
    """Return the totals by statement and field, of the fields that both generations have."""
    frame = parity.by_field
    frame = frame[frame["v1_field"].notna() & frame["v2_field"].notna()]
    kinds = [k.value for k in (*DIFFERENCE_KINDS, *APART_KINDS)]
    filled = [k for k in kinds if frame[k].sum() > 0 and k != _ALONE]
    names = ["statement", "v1_field", "v2_field", "relation", "compared", "matched", *filled]
    return frame[names].reset_index(drop=True)


def markdown(summary: Mapping[str, Any], parity: Parity, tolerances: Tolerances) -> str:
    """Return the totals as markdown: the answer, what was found, and each statement's fields."""
    lines = [
        f"# Parity: {'passed' if summary['passed'] else 'not passed'}",
        "",
        f"{summary['compared']:,} values compared, {summary['matched']:,} equal; "
        f"{summary['tickers_compared']:,} of v1's {summary['tickers_total']:,} tickers"
        f"{''.join(f', {n:,} {kind}' for kind, n in summary['tickers_not_compared'].items())}. "
        f"{summary['reach']}",
        "",
        *[f"- {note}" for note in summary["notes"]],
        "",
        "## Findings",
        "",
        # A field that only one generation has is not compared.
        *_table(budgets_table(parity, tolerances).query("count > 0 and finding != @_ALONE")),
    ]
    fields = fields_table(parity)
    for statement, rows in fields.groupby("statement", sort=False):
        columns = rows.drop(columns="statement")
        empty = [c for c in columns.columns[5:] if not columns[c].sum()]
        lines += ["", f"## {statement}", "", *_table(columns.drop(columns=empty))]
    missing = parity.missing_periods.head(_ROWS_IN_MARKDOWN)
    if len(missing):
        lines += ["", f"## Missing periods ({len(parity.missing_periods):,})", ""]
        shown = missing[["statement", "ticker", "timeframe", "period_end"]].copy()
        shown["period_end"] = shown["period_end"].dt.strftime("%Y-%m-%d")
        lines += _table(shown)
    return "\n".join(lines) + "\n"


def _table(frame: pd.DataFrame) -> list[str]:
    head = [str(name) for name in frame.columns]
    rows = [[_cell(v) for v in row] for row in frame.itertuples(index=False)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    # A cell must stay one, and an artifact must not become HTML.
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;")):
        text = text.replace(raw, safe)
    return " ".join(text.split())
