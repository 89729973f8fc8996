"""Making shelves from the lake: v1's filings, and v2's records of the periods that v1 lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import structs

from polygon_fundamentals.datasets.keys import cik_of_key
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake.archived_rows import read_archived
from polygon_fundamentals.lake.file_names import bucket_of
from polygon_fundamentals.lake.index import TickerIndex, written
from polygon_fundamentals.lake.listing import ATTEMPTS, by_bucket, states
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.processes import give_free_memory_back
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.periods.companies import Cluster, batches, ciks_in, ciks_of, clusters_of
from polygon_fundamentals.silver import wide_table
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import shelf_file, v1_records
from polygon_fundamentals.v1_view.export import v1_shaped
from polygon_fundamentals.v1_view.filings import Parts, v1_filings
from polygon_fundamentals.v1_view.lake_files import (
    REVISIONS,
    Packed,
    Place,
    datasets,
    digest,
    packed,
    shared_state,
    stamps_of,
)
from polygon_fundamentals.v1_view.rendering import Draft, add_rows
from polygon_fundamentals.v1_view.shelf_file import Record, Shelf, Text
from polygon_fundamentals.v1_view.texts import texts_of
from polygon_fundamentals.v1_view.view import View

# A ticker takes some 20 MB while its shelf is made.
BATCH_TICKERS = 1
# While a bare shelf is made it takes a fifth of that.
BATCH_BARE = 10


def make_shelves(
    view: View, folder: str, companies: Sequence[Cluster], bare: bool = False
) -> list[str]:
    """Write the shelves of some companies' tickers, full or `bare` ones; return their files.

    Raises:
        LakeError: their files moved in each of ten attempts.
    """
    lake = Lake(Path(view.root))
    written = []
    for tickers in batches(companies, BATCH_BARE if bare else BATCH_TICKERS):
        mine = [c for c in companies if c[0] in tickers]
        written += [_write(folder, s) for s in _unmoved_shelves(lake, view, tickers, mine, bare)]
        give_free_memory_back()
    return written


def fill_shelves(view: View, folder: str, companies: Sequence[Cluster]) -> list[str]:
    """Write the full shelves of some companies from the bare ones in a folder; return their files.

    Only the texts of v1's records are read for it. Where a bare shelf is missing or out of date,
    the full one is made from the lake.

    Raises as `make_shelves`.
    """
    lake = Lake(Path(view.root))
    written = []
    for company in companies:
        shelf = shelf_file.load(shelf_file.path_of(Path(folder), company, is_full=False))
        filled = None if shelf is None else _filled(lake, shelf)
        if filled is None:
            written += make_shelves(view, folder, [company])
        else:
            written.append(_write(folder, filled))
        give_free_memory_back()
    return written


def _filled(lake: Lake, shelf: Shelf) -> Shelf | None:
    """Return a bare shelf with the texts of its records, or None where the files changed."""
    if _digests(lake, shelf.digests) != shelf.digests:
        return None
    missing = [r for r in shelf.records if r.body is None]
    try:
        texts = texts_of(str(lake.root), [(r.ties, r.rows) for r in missing])
    except DamagedFileError:
        return None
    known = [text for text in texts if text is not None]
    if len(known) < len(missing) or _digests(lake, shelf.digests) != shelf.digests:
        return None
    following = iter(known)
    return replace(shelf, records=tuple(_with_text(r, following) for r in shelf.records))


def _with_text(record: Record, texts: Iterator[Text]) -> Record:
    if record.body is not None:
        return record
    body, sourced = next(texts)
    return structs.replace(record, body=body, sourced=sourced, rows=b"")


def _digests(lake: Lake, tickers: Iterable[str]) -> dict[str, str]:
    """Return ticker → digest of its files as they are now."""
    shared = shared_state(lake)
    return {t: digest(mine, shared) for t, mine in stamps_of(lake, tickers).items()}


def _write(folder: str, shelf: Shelf) -> str:
    """Write the file of a shelf in place of all others of its tickers; return it."""
    path = shelf_file.path_of(Path(folder), shelf.digests, is_full=shelf.is_full)
    # Not flushed to disk: one that a crash cut short is ignored, and made again.
    replace_file(path, shelf_file.dump(shelf), flush=False)
    for ticker in shelf.digests:
        for is_full in (False, True):
            other = shelf_file.path_of(Path(folder), [ticker], is_full=is_full)
            if other != path:
                other.unlink(missing_ok=True)
    return str(path)


def _unmoved_shelves(
    lake: Lake, view: View, tickers: Sequence[str], companies: Sequence[Cluster], bare: bool
) -> list[Shelf]:
    """Return the shelves of some tickers, made from files that stayed as they were meanwhile."""
    for _ in range(ATTEMPTS):
        state = (shared_state(lake), lake.pointer.is_symlink(), stamps_of(lake, tickers))
        try:
            records, error = _records(lake, view, state[2], bare), None
        except DamagedFileError as damaged:
            if len(companies) > 1:  # only one of them may be without its records for it
                return [
                    shelf
                    for company in companies
                    for shelf in _unmoved_shelves(lake, view, company, [company], bare)
                ]
            records, error = [], str(damaged)
        except FileNotFoundError:
            continue
        if state != (shared_state(lake), lake.pointer.is_symlink(), stamps_of(lake, tickers)):
            continue
        digests = {t: digest(stamps, state[0]) for t, stamps in state[2].items()}
        shelves = []
        for company in companies:
            mine = tuple(r for r in records if r.owners[0] in company)
            ciks = tuple(sorted({r.cik for r in mine if r.cik}))
            shelves.append(Shelf({t: digests[t] for t in company}, ciks, mine, error))
        return shelves
    raise LakeError(
        f"files of {', '.join(tickers[:5])} moved each of the {ATTEMPTS} times that they were "
        "read; they are read again when the load that is running has ended"
    )


def _records(lake: Lake, view: View, parts: Parts, bare: bool) -> list[Record]:
    drafts: dict[tuple[Any, ...], Draft] = {}
    filings = v1_filings(lake, parts, view.day, bare=bare)
    for statement, table in filings.items():
        add_rows(drafts, table, statement, Generation.V1.value)
    names = _company_names(drafts.values())
    if not view.only_v1:
        for statement, table in _continuing(lake, view, frozenset(parts), filings).items():
            add_rows(drafts, table, statement, Generation.V2.value)
    for draft in drafts.values():
        if draft.generation == Generation.V2.value:
            draft.fields |= names.get(draft.fields.get("cik") or "", {})
            # v1 never left the name out, and its readers count on it.
            draft.fields.setdefault("company_name", " ".join(sorted(draft.owners)))
    return [draft.record() for draft in drafts.values()]


def _company_names(drafts: Iterable[Draft]) -> dict[str, dict[str, str]]:
    """Return CIK → name and industry as the latest record of v1 has them."""
    latest: dict[str, tuple[str, dict[str, str]]] = {}
    for draft in drafts:
        cik, end = draft.fields.get("cik"), draft.fields.get("end_date") or ""
        if cik and end >= latest.get(cik, ("", {}))[0]:
            names = {n: draft.fields[n] for n in ("company_name", "sic") if draft.fields.get(n)}
            latest[cik] = (end, names)
    return {cik: names for cik, (_, names) in latest.items()}


def _continuing(
    lake: Lake, view: View, tickers: frozenset[str], filings: Mapping[Statement, pa.Table]
) -> dict[Statement, pa.Table]:
    """Return v2's rows in v1's form, by statement, of the periods that v1 has in no statement."""
    wide = wide_table(lake, Generation.V2, view.day, tickers, strict=True)
    wide = wide.filter(pc.not_equal(wide["generation"], Generation.V1.value))
    keys = ["ticker", "cik", "timeframe", "end_date"]
    history = pa.concat_tables([table.select(keys) for table in filings.values()])
    rows = {}
    for statement in Statement:
        rendered = v1_shaped(wide, statement, differing=view.differing)
        rows[statement] = (
            v1_records.continuing(rendered, history) if rendered.num_rows else rendered
        )
    return rows


def ciks_of_tickers(
    root: str, files: Mapping[str, Mapping[Place, Packed]]
) -> dict[str, tuple[str, ...]]:
    """Return ticker → the CIKs in its rows; `files` are those of each ticker as just listed.

    The index that loads leave has them, which takes a hundredth of the time of reading the rows;
    only those of tickers whose files are not as it says are read. Of a ticker with a file that
    cannot be read it says which CIKs there were: its shelf will say why there are no records.

    Raises:
        DamagedFileError: v1's archived records cannot be read.
    """
    lake = Lake(Path(root))
    ciks: dict[str, set[str]] = {ticker: set() for ticker in files}
    for dataset in datasets(lake):
        unread = []
        for ticker, places in files.items():
            mine = {part: stamp for (name, part), stamp in places.items() if name == dataset.name}
            mine.pop(REVISIONS, None)
            if not mine:
                continue
            index = written(dataset, ticker)
            if index.is_older or {p: packed(f[:2]) for p, f in index.files.items()} != mine:
                unread.append(ticker)
                continue
            ciks[ticker] |= _ciks_of_index(index)
        archived = read_archived(dataset, files, ["ticker", "cik"])
        read = [] if archived is None else [ciks_of(archived)]
        if unread:
            read += _read_ciks(dataset, unread)
        for ciks_by_ticker in read:
            for ticker in files.keys() & ciks_by_ticker.keys():
                ciks[ticker] |= ciks_by_ticker[ticker]
    return {ticker: tuple(sorted(mine)) for ticker, mine in ciks.items()}


def _ciks_of_index(index: TickerIndex) -> set[str]:
    return {cik.zfill(10) for key in index.rows if (cik := cik_of_key(key))}


def _read_ciks(dataset: Dataset, tickers: Sequence[str]) -> list[dict[str, set[str]]]:
    """Return the CIKs in the files of some tickers, of unreadable ones as the index has them."""
    shown = by_bucket(states(dataset, sorted({bucket_of(ticker) for ticker in tickers})))
    try:
        return [ciks_in(dataset, tickers, shown)]
    except DamagedFileError:
        if len(tickers) == 1:
            return [{tickers[0]: _ciks_of_index(written(dataset, tickers[0]))}]
    return [ciks for ticker in tickers for ciks in _read_ciks(dataset, [ticker])]


def companies_of(ciks: Mapping[str, Sequence[str]]) -> list[Cluster]:
    """Return the tickers in groups that share companies, those of one bucket together.

    The lake's cache is read by the bucket.
    """
    return sorted(clusters_of(ciks), key=lambda company: (bucket_of(company[0]), company))
