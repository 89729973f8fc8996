"""The texts of v1's records that stand on bare shelves, read from the lake when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pyarrow as pa

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import codec, revisions
from polygon_fundamentals.lake.archived_lines import read_archived_records
from polygon_fundamentals.lake.paths import Dataset, Lake
from polygon_fundamentals.lake.processes import give_free_memory_back
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view.lake_files import ARCHIVED, REVISIONS
from polygon_fundamentals.v1_view.rendering import Draft, add_rows
from polygon_fundamentals.v1_view.shelf_file import Text

Ties = tuple[str, ...]
# Records whose files are held while their texts are made, a quarter of a megabyte each.
TOGETHER = 25
_TIES = ("cik", "timeframe", "end_date", "filing_date", "acceptance_datetime")


def texts_of(root: str, wanted: Sequence[tuple[Ties, bytes]]) -> list[Text | None]:
    """Return the texts of some records, given by their `ties` and `rows`.

    None for one of which a row is no longer where it was. No other file of the lake is opened.

    Raises:
        DamagedFileError: a file cannot be read; the text names it.
    """
    texts: list[Text | None] = []
    for i in range(0, len(wanted), TOGETHER):
        texts += _texts_of(Lake(Path(root)), wanted[i : i + TOGETHER])
        give_free_memory_back()
    return texts


def _texts_of(lake: Lake, wanted: Sequence[tuple[Ties, bytes]]) -> list[Text | None]:
    """Return the texts of a few records, while the files of all of them are held."""
    files: dict[tuple[Statement, str, int], _File] = {}
    rows: dict[Statement, tuple[list[pa.Table], list[int]]] = {s: ([], []) for s in Statement}
    gone: set[int] = set()
    for number, (ties, places) in enumerate(wanted):
        for name, ticker, place, moment in orjson.loads(places):
            statement = Statement(name)
            file = files.get((statement, ticker, place))
            if file is None:
                file = _File.read(lake.dataset(Generation.V1, statement), ticker, place)
                files[statement, ticker, place] = file
            position = file.positions.get((ties, moment))
            if position is None:
                gone.add(number)
                continue
            tables, numbers = rows[statement]
            tables.append(file.table.slice(position, 1))
            numbers.append(number)
    drafts: dict[int, Draft] = {}
    for statement, (tables, numbers) in rows.items():
        if tables:
            table = pa.concat_tables(tables).combine_chunks()
            add_rows(drafts, table, statement, Generation.V1.value, numbers)
    texts: list[Text | None] = []
    for number in range(len(wanted)):
        if number in gone or number not in drafts:
            texts.append(None)
            continue
        record = drafts[number].record()
        texts.append(None if record.body is None else (record.body, record.sourced))
    return texts


class _File:
    """The rows of a file; `positions`: (a record's ties, when it was observed) → its row."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        days = ("end_date", "filing_date")
        columns = [
            (table[n].cast(pa.string()) if n in days else table[n]).to_pylist() for n in _TIES
        ]
        labels = zip(
            table["fiscal_year"].to_pylist(), table["fiscal_period"].to_pylist(), strict=True
        )
        moments = table["observed_at"].cast(pa.int64()).to_pylist()
        self.positions: dict[tuple[Ties, int], int] = {}
        for i, (label, moment, *ties) in enumerate(zip(labels, moments, *columns, strict=True)):
            key = (*(text or "" for text in ties), f"{label[0] or ''} {label[1] or ''}")
            self.positions.setdefault((key, moment), i)

    @classmethod
    def read(cls, dataset: Dataset, ticker: str, place: int) -> _File:
        wanted = schema(Generation.V1, dataset.statement)
        if place == REVISIONS:
            return cls(revisions.read(dataset, ticker).select(wanted.names))
        if place == ARCHIVED:
            archived = read_archived_records(dataset, [ticker])
            if archived is not None:
                return cls(archived)
        else:
            try:
                rows, _ = codec.read(dataset.file(place, ticker), dataset, ticker)
                return cls(codec.with_ticker(rows, ticker))
            except FileNotFoundError:
                pass
        return cls(wanted.empty_table())
