"""The review page, for the person who decides whether v2 may take over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from expectations import charts
from expectations.attention import ALLOWED, attention_of, findings_of, worst_first
from expectations.cases import RuleCases
from expectations.companies import has_page, page_of
from expectations.outcome import Outcome
from expectations.readers import ReaderFigures
from expectations.remedies import broken_rules
from expectations.templates import columns_as_json, template
from polygon_fundamentals.field_map import Unit, primary_pairs
from polygon_fundamentals.parity.kinds import ABSENT_KINDS, APART_KINDS, Kind
from polygon_fundamentals.parity.tolerances import Tolerances
from polygon_fundamentals.statements import Statement

# A page of some 3 MB, which a browser opens at once; the report has the cases beyond that.
CASES_SHOWN = 50_000
FIELDS_DRAWN = 25
RUNS_DRAWN = 30
_MISSING_COLOUR = "#d53f8c"
_UNITS = {Unit.USD: "USD", Unit.USD_PER_SHARE: "USD per share", Unit.SHARES: "shares"}
_TEXTS = (
    "statement", "ticker", "company_name", "cik", "timeframe", "v1_field", "v2_field", "finding",
    "detail", "accession",
)  # fmt: skip
_NUMBERS = ("v1_value", "v2_value", "difference")
_DAYS = ("period_end", "v1_filing_date", "v2_filing_date")
# The columns that order the cases, and those that the pictures count. A market has five million
# values, which would take a gigabyte with all columns.
_ORDERED_BY = (
    "ticker", "statement", "v2_field", "finding", "detail", "difference", "v1_value",
)  # fmt: skip
_COUNTED = ("statement", "ticker", "v2_field", "finding", "count")


@dataclass(frozen=True)
class Review:
    """What the page shows.

    `summaries` are those of all runs, this one last; `accessions` the numbers of the SEC filings
    that v1 names, by ticker, timeframe and period end; `companies` the tickers that have a page of
    their own; `cases` those of the rules other than budgets.
    """

    frames: Path
    outcome: Outcome
    summaries: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    accessions: pd.DataFrame
    tolerances: Tolerances
    readers: ReaderFigures | None = None
    companies: Sequence[str] = ()
    cases: Sequence[RuleCases] = ()


def make_review(review: Review) -> str:
    """Return the page as one file that loads no other."""
    path = review.frames / "values.parquet"
    single = _single(path)
    cases = worst_first(single, review.outcome)
    attention = attention_of(cases, review.outcome)
    shown = (
        _rows(path, cases.index.to_numpy()[:CASES_SHOWN])
        .assign(attention=attention.to_numpy()[:CASES_SHOWN])
        .merge(review.accessions, how="left", on=["ticker", "timeframe", "period_end"])
    )
    summary = review.summaries[-1]
    return template("review.html").render(
        summary=summary,
        question="May v2 take over?" if summary["whole"] else f"Parity of {summary['scope']}",
        sentence=_sentence(summary, review.outcome),
        notes=review.notes,
        broken=broken_rules(review.outcome),
        findings=findings_of(review.outcome, single),
        open_cases=int((attention > ALLOWED).sum()),
        nothing_compared=sum(not rule.of for rule in review.outcome.rules),
        absent=_absent(review),
        rule_cases=review.cases,
        statements=list(Statement),
        pictures=_pictures(review),
        total=len(cases),
        shown=len(shown),
        readers=review.readers,
        companies=[(ticker, page_of(ticker, review.frames.name)) for ticker in review.companies],
        data=_as_json(shown),
    )


def worst_tickers(frames: Path, outcome: Outcome, most: int) -> list[str]:
    """Return `most` tickers: those whose cases come first on the page, then the others by name."""
    cases = worst_first(_single(frames / "values.parquet"), outcome)
    every = pd.read_parquet(frames / "tickers.parquet", columns=["ticker"])["ticker"]
    ordered = [*cases["ticker"].astype(str).unique(), *sorted(every.astype(str).unique())]
    return [ticker for ticker in dict.fromkeys(ordered) if has_page(ticker)][:most]


def _single(path: Path) -> pd.DataFrame:
    """Return the single values of a frame, indexed by position, with the columns to order by."""
    values = pd.read_parquet(path, columns=list(_ORDERED_BY))
    return values[values["ticker"].notna()]


def _rows(path: Path, positions: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return some rows of a frame in the order of `positions`, reading one row group at a time."""
    columns = [name for name in (*_TEXTS, *_NUMBERS, *_DAYS) if name != "accession"]
    with pq.ParquetFile(path) as file:
        parts = [file.schema_arrow.empty_table().select(columns)]
        places, start = [np.empty(0, np.int64)], 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            mine = np.flatnonzero((positions >= start) & (positions < end))
            if len(mine):
                rows = file.read_row_group(group, columns=columns)
                parts.append(rows.take(pa.array(positions[mine] - start)))
                places.append(mine)
            start = end
    table = pa.concat_tables(parts).unify_dictionaries()
    return table.take(pa.array(np.argsort(np.concatenate(places)))).to_pandas()


def _sentence(summary: Mapping[str, Any], outcome: Outcome) -> str:
    compared, equal = summary["compared"], summary["matched"]
    share = "no value could be compared"
    if compared:
        share = f"{100 * equal / compared:.1f} % of {compared:,} compared values are equal"
    rules, number = len(outcome.rules), len(outcome.broken)
    verb = "is" if number == 1 else "are"
    others = "; every other one has a finding that is allowed" if equal != compared else ""
    what = f"all {rules} rules hold, and {share}{others}"
    if not outcome.passed:
        what = f"{number} of {rules} rules {verb} broken; {share}"
    if not summary["whole"]:
        return f"What was compared {'agrees' if outcome.passed else 'does not agree'}: {what}."
    return f"v2 may {'take over' if outcome.passed else 'not take over yet'}: {what}."


def _absent(review: Review) -> list[dict[str, object]]:
    """The tickers that v2 lacks, by state: how many in each statement, and which."""
    columns = ["statement", "ticker", "state"]
    tickers = pd.read_parquet(review.frames / "tickers.parquet", columns=columns).astype(str)
    rows: list[dict[str, object]] = []
    for kind in ABSENT_KINDS:
        mine = tickers[tickers["state"] == kind.value].drop_duplicates()
        if not mine.empty:
            counts = mine["statement"].value_counts()
            row: dict[str, object] = {
                "state": kind.value,
                "counts": [int(counts.get(statement.value, 0)) for statement in Statement],
                "reason": review.tolerances.budgets[kind].reason,
                "tickers": sorted(set(mine["ticker"])),
            }
            rows.append(row)
    return rows


def _as_json(cases: pd.DataFrame) -> Markup:
    texts = {name: cases[name] for name in _TEXTS}
    texts |= {name: cases[name].dt.strftime("%Y-%m-%d") for name in _DAYS}
    fields = cases["statement"].astype(str) + "." + cases["v2_field"].astype(str)
    texts["unit"] = fields.map(_units())
    return columns_as_json(texts, {name: cases[name] for name in (*_NUMBERS, "attention")})


def _units() -> dict[str, str]:
    """Return statement.field → the unit of its values, in words."""
    return {
        f"{statement.value}.{entry.v2}": _UNITS[entry.unit]
        for statement in Statement
        for entry in primary_pairs(statement)
    }


def _pictures(review: Review) -> list[dict[str, object]]:
    values = pd.read_parquet(review.frames / "values.parquet", columns=list(_COUNTED))
    # A finding has the same colour in all pictures.
    kinds = {kind for run in review.summaries[-RUNS_DRAWN:] for kind in run["differences"]}
    kinds |= set(map(str, values["finding"].unique()))
    colours = dict(zip((k.value for k in Kind if k in kinds), cycle(charts.COLOURS), strict=False))
    drawn = [
        _by_field(values, colours),
        _by_run(review.summaries, colours),
        _coverage(review.frames),
    ]
    return [picture for picture in drawn if picture is not None]


def _picture(name: str, svg: str, table: pd.DataFrame) -> dict[str, object]:
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    head = [str(column) for column in table.columns]
    return {"name": name, "svg": Markup(svg), "head": head, "rows": rows}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _by_field(values: pd.DataFrame, colours: Mapping[str, str]) -> dict[str, object] | None:
    compared = values[~values["finding"].isin([kind.value for kind in APART_KINDS])]
    # Summed before the fields get their names: a text for each of millions of rows is too much.
    by = ["v2_field", "statement", "finding"]
    mine = compared.groupby(by, observed=True)["count"].sum().reset_index()
    mine = mine.assign(field=mine["v2_field"].astype(str) + " · " + mine["statement"].astype(str))
    table = mine.pivot_table(
        index="field", columns="finding", values="count", aggfunc="sum", fill_value=0, observed=True
    )
    table.columns = table.columns.astype(str)
    if table.empty:
        return None
    total = table.sum(axis=1)
    unequal = table.drop(columns=[Kind.MATCHED.value], errors="ignore")
    unequal = unequal.loc[:, unequal.sum() > 0]
    share = unequal.sum(axis=1).div(total)
    differing = share[share > 0] if share.any() else share  # all equal: the table is still shown
    top = differing.sort_values(ascending=False).head(FIELDS_DRAWN).index
    shares = unequal.loc[top].div(total.loc[top], axis=0) * 100
    name = "Differences by field and finding, in percent of the values compared"
    series = {str(c): shares[c].tolist() for c in shares}
    svg = charts.stacked(
        name, [str(f) for f in top], series, "%", [colours[kind] for kind in series]
    )
    whole = table.loc[total.sort_values(ascending=False).index].reset_index()
    whole.insert(1, "compared", whole["field"].map(total))
    return _picture(name, svg, whole)


def _by_run(
    summaries: Sequence[Mapping[str, Any]], colours: Mapping[str, str]
) -> dict[str, object] | None:
    runs = list(summaries)[-RUNS_DRAWN:]
    if len(runs) == 1:
        return None
    labels = [str(run["started"])[:16] for run in runs]
    occurring = {kind for run in runs for kind in run["differences"]}
    kinds = [kind for kind in colours if kind in occurring]
    counts = {kind: [run["differences"].get(kind, 0) for run in runs] for kind in kinds}
    counts["missing periods"] = [run.get("missing_periods_total", 0) for run in runs]
    drawn = [*(colours[kind] for kind in kinds), _MISSING_COLOUR]
    name = "Findings by run"
    table = pd.DataFrame({"run": labels, **counts})
    table.insert(1, "answer", ["passed" if run["passed"] else "not passed" for run in runs])
    table.insert(2, "scope", [run["scope"] for run in runs])
    return _picture(name, charts.lines(name, labels, counts, drawn), table)


def _coverage(frames: Path) -> dict[str, object] | None:
    columns = ["period_end", "state"]
    periods = pd.read_parquet(frames / "periods.parquet", columns=columns).dropna()
    if periods.empty:
        return None
    counts = (
        periods.assign(year=periods["period_end"].dt.year.astype(int))
        .pivot_table(index="year", columns="state", aggfunc="size", fill_value=0, observed=True)
        .reindex(columns=["present", "missing", "extra"], fill_value=0)
    )
    table = pd.DataFrame(
        {
            "periods of v1": counts["present"] + counts["missing"],
            "periods of v2": counts["present"] + counts["extra"],
            "missing in v2": counts["missing"],
        }
    )
    name = "Periods of each generation by year of the period's end"
    drawn = table.loc[:, table.any()]  # a legend of what is drawn
    series = {str(column): drawn[column].astype(int).tolist() for column in drawn}
    svg = charts.bars(name, [str(year) for year in table.index], series)
    # As text, since a year has no thousands separator.
    return _picture(
        name, svg, table.set_axis(table.index.astype(str)).rename_axis("year").reset_index()
    )
