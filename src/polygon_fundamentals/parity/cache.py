"""What a stored comparison depends on: a cluster is compared again only if any of it changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache as remembered
from pathlib import Path

import orjson

from polygon_fundamentals.lake.listing import FileState, Stamp, states
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.parity.tolerances import Accepted, Tolerances
from polygon_fundamentals.periods.companies import Cluster
from polygon_fundamentals.reference.tickers import ReferenceTicker, company_name
from polygon_fundamentals.statements import Generation


def listing(datasets: Iterable[Dataset]) -> dict[str, dict[Generation, list[FileState]]]:
    """Return each ticker's files in both generations, from folder listings alone."""
    files: dict[str, dict[Generation, list[FileState]]] = {}
    for dataset in datasets:
        for state in states(dataset):
            mine = files.setdefault(state.ticker, {g: [] for g in Generation})
            mine[dataset.generation].append(state)
    return files


def state_of(files: Mapping[Generation, Sequence[FileState]], revisions: Stamp | None) -> str:
    """Return a digest of the state of a ticker's files, and of its revisions of v1.

    The revisions tell when a period was first filed (`first_filings`), and `import-v1` may add to
    them alone.
    """
    lines = [
        f"{generation} {state.key} {state.changed_ns} {state.size}"
        for generation in Generation
        for state in sorted(files[generation], key=lambda s: s.key)
    ]
    lines.append(f"revisions {revisions}")
    return _digest("\n".join(lines).encode())


def key_of(
    cluster: Cluster,
    states: Mapping[str, str],
    ciks: Mapping[str, Sequence[str]],
    reference: Mapping[str, ReferenceTicker],
    accepted: Sequence[Accepted],
    tolerances: Tolerances,
    today: date,
) -> str:
    """Return a digest of all that the comparison of a cluster depends on."""
    companies = {cik for ticker in cluster for cik in ciks[ticker]}
    holding = [
        a.model_dump(mode="json") for a in accepted if a.cik in companies and a.until >= today
    ]
    limits = tolerances.model_dump(mode="json", exclude={"budgets", "scoped_budgets", "rules"})
    facts = {
        "code": code_digest(),
        "states": [(ticker, states[ticker]) for ticker in cluster],
        "reference": list(known_of(reference, cluster, ciks).items()),
        "accepted": holding,
        "limits": limits,
    }
    return _digest(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS))


def known_of(
    reference: Mapping[str, ReferenceTicker],
    tickers: Iterable[str],
    ciks: Mapping[str, Sequence[str]],
) -> dict[str, ReferenceTicker]:
    """Return the reference entries of some tickers, and of the companies that `ciks` gives them."""
    listed = list(tickers)
    companies = sorted({company_name(cik) for ticker in listed for cik in ciks[ticker]})
    return {name: reference[name] for name in (*listed, *companies) if name in reference}


@remembered
def code_digest() -> str:
    """Return a digest of the code that compares; results of other code versions are discarded."""
    library = Path(__file__).parents[1]
    rooms = ("parity", "periods", "datasets", "field_map", "normalise", "lake")
    files = sorted(
        path
        for room in rooms
        for path in (library / room).rglob("*")
        if path.suffix in (".py", ".csv")
    )
    return _digest(b"\x00".join(path.read_bytes() for path in files))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
