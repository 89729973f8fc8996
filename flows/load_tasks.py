"""What the loading flows share: planning, submitting, following, and the tally that decides."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect import unmapped
from prefect.futures import PrefectFuture, as_completed

from flows.runtime.progress import Progress
from polygon_fundamentals.ledger import Run
from polygon_fundamentals.load.historical import Loaded
from polygon_fundamentals.load.query import BATCH, Filters, even_groups
from polygon_fundamentals.settings import Settings
from polygon_fundamentals.statements import Generation, Statement
from tasks.context import RunSpec
from tasks.load import find_companies, load_v1_tickers, load_v2_statement

# Up to here a task run a ticker and statement is useful to look at; above, batches.
UNITS_SHOWN_ONE_BY_ONE = 300
V1_BATCH = 25

Submitted = tuple["PrefectFuture[Any]", list[tuple[str, str]]]  # a future and its units


def failed_unit(unit: tuple[str, str], reason: str, error: str) -> dict[str, str]:
    """Return a failed unit's part of the JSON; `error` is the name of the error's class."""
    return {"ticker": unit[0], "statement": unit[1], "reason": reason, "error": error}


@dataclass
class Tally:
    """What became of a generation's units."""

    generation: Generation
    units: int = 0
    resumed: int = 0
    loaded: Loaded = field(default_factory=Loaded)
    failed: list[dict[str, str]] = field(default_factory=list)
    exit_code: int = 0
    seconds: float = 0.0

    def add(self, result: Mapping[str, Any], units: Sequence[tuple[str, str]]) -> list[str]:
        """Count a task's result; return its failed tickers."""
        self.loaded.add(Loaded.from_json(result["loaded"]))
        reasons = result["failed"]
        self.failed += [
            failed_unit((ticker, statement), reasons[ticker], result["errors"][ticker])
            for ticker, statement in units
            if ticker in reasons
        ]
        self.exit_code = max(self.exit_code, result["exit_code"])
        return list(reasons)

    def lost(self, units: Sequence[tuple[str, str]], reason: str, error: str) -> None:
        """Count units whose task gave no result."""
        self.failed += [failed_unit(unit, reason, error) for unit in units]
        self.exit_code = max(self.exit_code, 3)

    def report(self) -> dict[str, Any]:
        """Return the generation's part of the JSON (DESIGN.md, section 6)."""
        counts = self.loaded.counts
        nothing = {ticker for ticker, _ in self.loaded.empty}
        something = {unit[0] for unit in self.loaded.units} - nothing
        return {
            "units": self.units,
            "failed": self.failed,
            "requests": self.loaded.requests,
            "retries": self.loaded.retries,
            "rows_received": counts.rows_received,
            "rows_new": counts.rows_new,
            "rows_changed": counts.rows_changed,
            "rows_unchanged": counts.rows_unchanged,
            "rows_withdrawn": counts.rows_withdrawn,
            "rows_unfollowed": self.loaded.rows_unfollowed,
            "seconds": round(self.seconds, 3),
            "bytes_written": counts.bytes_written,
            "files_written": counts.files_written,
            "units_resumed": self.resumed,
            "tickers_without_rows": sorted(nothing - something),
            "brownouts": self.loaded.brownouts,
            "sunset": self.loaded.sunset,
        }


@dataclass(frozen=True)
class Load:
    """A load as the flows plan it."""

    spec: RunSpec
    settings: Settings
    run: Run
    tickers: Sequence[str]
    statements: Sequence[Statement]
    filters: Filters
    done: frozenset[tuple[str, ...]] = frozenset()
    scope: str | None = None
    ciks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def todo(self, generation: Generation) -> list[tuple[str, str]]:
        """Return the units that an interrupted run has not done yet."""
        return [
            (ticker, statement.value)
            for ticker in self.tickers
            for statement in self.statements
            if (generation.value, ticker, statement.value) not in self.done
        ]

    @property
    def in_batches(self) -> bool:
        """Whether tasks are batches: many units, or a rate limit that one by one would wait on."""
        units = len(self.tickers) * len(self.statements)
        limit = self.settings.requests_per_minute
        return units > UNITS_SHOWN_ONE_BY_ONE or (limit is not None and units > limit)


def load_generation(load: Load, generation: Generation) -> Tally:
    """Load one generation; return its tally. A unit that fails does not stop the others."""
    started = time.monotonic()
    todo = load.todo(generation)
    tally = Tally(generation, units=len(load.tickers) * len(load.statements))
    tally.resumed = tally.units - len(todo)
    submit = _submit_v1 if generation is Generation.V1 else _submit_v2
    with Progress(f"{generation} history", len(todo)) as progress:
        follow(submit(load, todo, tally), tally, load.run, progress)
    tally.seconds = time.monotonic() - started
    return tally


def follow(submitted: Iterator[Submitted], tally: Tally, run: Run, progress: Progress) -> None:
    """Wait for tasks as they end; tally them and note what is done."""
    pending = dict(submitted)
    for future in as_completed(list(pending)):
        units = pending[future]
        failed = units_failed(future, units, tally)
        good = [unit for unit in units if unit[0] not in failed]
        if good:
            run.done([(tally.generation.value, *unit) for unit in good])
        progress.advance(len(units), failed=len(units) - len(good), rows=tally.loaded.counts)


def units_failed(
    future: PrefectFuture[Any], units: Sequence[tuple[str, str]], tally: Tally
) -> set[str]:
    """Tally a task that ended; return the tickers whose units failed."""
    result = future.result(raise_on_failure=False)
    if isinstance(result, dict) and "loaded" in result:
        return set(tally.add(result, units))
    tally.lost(units, str(future.state.message or result), type(result).__name__)
    return {ticker for ticker, _ in units}


def _submit_v1(load: Load, todo: list[tuple[str, str]], _: Tally) -> Iterator[Submitted]:
    by_ticker: dict[str, list[str]] = {}
    for ticker, statement in todo:
        by_ticker.setdefault(ticker, []).append(statement)
    size = V1_BATCH if load.in_batches else 1
    tickers = list(by_ticker)
    groups = [tickers[i : i + size] for i in range(0, len(tickers), size)]
    futures = load_v1_tickers.map(
        unmapped(load.spec),
        [f"v1 · {label(group)}" for group in groups],
        groups,
        [
            [s.value for s in load.statements if any(s.value in by_ticker[t] for t in group)]
            for group in groups
        ],
        unmapped(load.filters.as_json()),
        [load.ciks[group[0]][0] if group[0] in load.ciks else None for group in groups],
    )
    for future, group in zip(futures, groups, strict=True):
        yield future, [(ticker, s) for ticker in group for s in by_ticker[ticker]]


def _submit_v2(load: Load, todo: list[tuple[str, str]], tally: Tally) -> Iterator[Submitted]:
    companies = _companies(load, todo, tally)
    jobs: list[tuple[str, dict[str, list[str]]]] = []
    wanted = set(todo)
    for tickers in v2_groups(companies, todo, BATCH if load.in_batches else 1):
        for name in (statement.value for statement in load.statements):
            asked = {t: companies[t] for t in tickers if (t, name) in wanted}
            if asked:
                jobs.append((name, asked))
    futures = load_v2_statement.map(
        unmapped(load.spec),
        [f"{statement} · {label(list(group))}" for statement, group in jobs],
        [statement for statement, _ in jobs],
        [group for _, group in jobs],
        unmapped(load.filters.as_json()),
        unmapped(load.scope),
    )
    for future, (statement, group) in zip(futures, jobs, strict=True):
        yield future, [(ticker, statement) for ticker in group]


def v2_groups(
    companies: Mapping[str, Sequence[str]], todo: Sequence[tuple[str, str]], size: int
) -> list[list[str]]:
    """Return the tickers to load, in groups of at most `size`.

    Those asked by CIK and those asked by symbol are kept apart: a mixed group needs two
    requests a statement.
    """
    tickers = dict.fromkeys(ticker for ticker, _ in todo if ticker in companies)
    by_cik = [ticker for ticker in tickers if companies[ticker]]
    by_symbol = [ticker for ticker in tickers if not companies[ticker]]
    return even_groups(by_cik, size) + even_groups(by_symbol, size)


def _companies(load: Load, todo: Sequence[tuple[str, str]], tally: Tally) -> dict[str, list[str]]:
    """Return ticker → CIKs for the tickers to load; those that could not be asked fail."""
    companies = {ticker: list(ciks) for ticker, ciks in load.ciks.items()}
    tickers = [t for t in dict.fromkeys(ticker for ticker, _ in todo) if t not in companies]
    groups = even_groups(tickers, BATCH)
    futures = find_companies.map(unmapped(load.spec), [label(g) for g in groups], groups)
    for future, group in zip(futures, groups, strict=True):
        units = [unit for unit in todo if unit[0] in set(group)]
        units_failed(future, units, tally)
        result = future.result(raise_on_failure=False)
        companies.update(result["companies"] if isinstance(result, dict) else {})
    return companies


def label(tickers: Sequence[str]) -> str:
    """Return how a group of tickers is called in the UI."""
    if len(tickers) <= 3:
        return ", ".join(tickers)
    return f"{tickers[0]} … {tickers[-1]} ({len(tickers)})"
