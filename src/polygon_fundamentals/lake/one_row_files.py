"""Parquet files of one row, made of the pages of many: most files of v2 are such.

A library sets up a writer for every file and for each of its columns, which took half of the
processor time of a load. Here a file is put together from bytes: a page a column, plain and
uncompressed, without statistics (they would say the one value again), and a footer whose schema is
the one that `codec.encode` writes. `codec.prove` reads one in so many back, as it does all others.

The format: https://github.com/apache/parquet-format, its structs in Thrift's compact protocol.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polygon_fundamentals.datasets.schemas import MARK_KEY, mark, schema
from polygon_fundamentals.lake import codec
from polygon_fundamentals.lake.paths import Dataset

_MAGIC = b"PAR1"
_CREATED_BY = b"polygon-fundamentals version 1"
# Physical type of Parquet → its number.
_TYPES = {"INT32": 1, "INT64": 2, "DOUBLE": 5, "BYTE_ARRAY": 6}
# Of a flat column: four bytes of length, then one run of one definition level.
_NULL, _SET = b"\2\0\0\0\2\0", b"\2\0\0\0\2\1"
_STOP = b"\0"
_PLAIN, _RLE = b"\0", b"\6"  # encodings 0 and 3
# Thrift's compact types, as the second half of a field's first byte.
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12

# A column of one row: the page, and its description in the footer up to the page's place.
Cell = tuple[bytes, bytes]


class OneRowFiles:
    """Files of single rows of a table in the schema of a flat dataset (v2 or the ratios)."""

    def __init__(self, table: pa.Table, dataset: Dataset) -> None:
        self.table = table
        self._form = _form(dataset)

    def encode(self, position: int, ticker: str) -> bytes:
        """Return the bytes of the file that holds the row at a position, as the ticker's."""
        form = self._form
        cells = [_text_cell(form.leaves[0], ticker), *[cell(position) for cell in self._cells]]
        pages, footer, offset = [_MAGIC], [form.head], len(_MAGIC)
        for page, described in cells:
            pages.append(page)
            footer += (described, _zigzag(offset), _STOP, _STOP)
            offset += len(page)
        footer += (form.middle, _zigzag(offset - len(_MAGIC)), form.tail)
        end = b"".join(footer)
        return b"".join((*pages, end, len(end).to_bytes(4, "little"), _MAGIC))

    @cached_property
    def _cells(self) -> list[Callable[[int], Cell]]:
        """Return for each column but the ticker what makes a row's cell of it."""
        columns = self.table.combine_chunks().columns[1:]
        return [
            _cells_of(leaf, column)
            for leaf, column in zip(self._form.leaves[1:], columns, strict=True)
        ]


@dataclass(frozen=True)
class NewRow:
    """What a new file will hold: one row of an answer, as a ticker's."""

    files: OneRowFiles
    position: int
    ticker: str
    num_rows: ClassVar[int] = 1

    @property
    def table(self) -> pa.Table:
        """The row as the file has it."""
        return codec.with_ticker(self.files.table.slice(self.position, 1), self.ticker)

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return self.files.encode(self.position, self.ticker)


@dataclass(frozen=True)
class _Leaf:
    """A column of Parquet, and the first bytes of its description in the footer."""

    physical_type: str
    begin: bytes
    is_list: bool

    def cell(self, content: bytes, values: int = 1) -> Cell:
        """Return the cell of a page's content: levels and values."""
        size, count = _zigzag(len(content)), _zigzag(values)
        of_page = _fields((1, _I32, count), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE))
        header = _fields(
            (1, _I32, _zigzag(0)), (2, _I32, size), (3, _I32, size), (5, _STRUCT, of_page + _STOP)
        )
        page = header + _STOP + content
        size = _zigzag(len(page))
        counted = _fields(
            (5, _I64, count), (6, _I64, size), (7, _I64, size), (9, _I64, b""), last=4
        )
        return page, self.begin + counted


@dataclass(frozen=True)
class _Form:
    """What the files of a dataset share: columns, and the footer around what differs.

    `head` goes to the first column, `middle` to the size of all pages, `tail` to the end.
    """

    leaves: tuple[_Leaf, ...]
    head: bytes
    middle: bytes
    tail: bytes


@cache
def _form(dataset: Dataset) -> _Form:
    names = dataset.generation, dataset.statement
    written = codec.encode(schema(*names).empty_table(), dataset)
    described = pq.read_metadata(io.BytesIO(written)).schema
    leaves = tuple(_leaf(described.column(i)) for i in range(len(described)))
    # FileMetaData with one RowGroup: version, schema, rows, groups, metadata, created_by.
    group = _fields((1, _LIST, _list_of(_STRUCT, len(leaves))))
    head = _fields(
        (1, _I32, _zigzag(1)),
        (2, _LIST, _schema_of(written)),
        (3, _I64, _zigzag(1)),
        (4, _LIST, _list_of(_STRUCT, 1) + group),
    )
    pair = _fields(
        (1, _BINARY, _binary(MARK_KEY.encode())), (2, _BINARY, _binary(mark(*names).encode()))
    )
    tail = (
        _fields((3, _I64, _zigzag(1)), last=2)
        + _STOP
        + _fields((5, _LIST, _list_of(_STRUCT, 1) + pair + _STOP), last=4)
        + _fields((6, _BINARY, _binary(_CREATED_BY)), last=5)
        + _STOP
    )
    return _Form(leaves, head, _fields((2, _I64, b""), last=1), tail)


def _leaf(column: Any) -> _Leaf:
    levels = column.max_definition_level, column.max_repetition_level
    assert levels in ((1, 0), (3, 1)), f"{column.path} is nested otherwise than a list is"
    # ColumnChunk with a ColumnMetaData: type, encodings, path, codec (none).
    path = [_binary(name.encode()) for name in column.path.split(".")]
    metadata = _fields(
        (1, _I32, _zigzag(_TYPES[column.physical_type])),
        (2, _LIST, _list_of(_I32, 2) + _PLAIN + _RLE),
        (3, _LIST, _list_of(_BINARY, len(path)) + b"".join(path)),
        (4, _I32, _zigzag(0)),
    )
    begin = _fields((2, _I64, _zigzag(0)), (3, _STRUCT, metadata))
    return _Leaf(column.physical_type, begin, is_list=levels == (3, 1))


def _cells_of(leaf: _Leaf, column: pa.ChunkedArray) -> Callable[[int], Cell]:
    """Return what makes the cell of the row at a position."""
    if leaf.physical_type == "BYTE_ARRAY":
        values: list[Any] = column.to_pylist()
        if leaf.is_list:
            return lambda i: _list_cell(leaf, None if values[i] is None else tuple(values[i]))
        return lambda i: _text_cell(leaf, values[i])
    whole = {"INT32": pa.int32(), "INT64": pa.int64(), "DOUBLE": pa.float64()}
    numbers = pc.fill_null(column.cast(whole[leaf.physical_type]), 0).to_numpy()
    is_set, raw = column.is_valid().to_numpy(), np.ascontiguousarray(numbers).tobytes()
    flags, width = is_set.astype(np.uint8).tobytes(), numbers.itemsize
    null, (page, described) = leaf.cell(_NULL), leaf.cell(_SET + bytes(width))
    begin = page[:-width]

    def cell(i: int) -> Cell:
        return (begin + raw[i * width : (i + 1) * width], described) if flags[i] else null

    return cell


@lru_cache(maxsize=16_384)  # a ticker, a CIK, a list of absent fields stand in many rows
def _text_cell(leaf: _Leaf, value: str | None) -> Cell:
    return leaf.cell(_NULL if value is None else _SET + _plain(value))


@lru_cache(maxsize=16_384)
def _list_cell(leaf: _Leaf, values: tuple[str | None, ...] | None) -> Cell:
    """Return the cell of a list: null, empty, a null in it and a value are levels 0 to 3."""
    if not values:
        levels = [0 if values is None else 1]
    else:
        levels = [2 if value is None else 3 for value in values]
    repeated = _runs([0] + [1] * (len(levels) - 1))
    texts = b"".join(_plain(value) for value in values or () if value is not None)
    return leaf.cell(repeated + _runs(levels) + texts, len(levels))


def _plain(value: str) -> bytes:
    text = value.encode()
    return len(text).to_bytes(4, "little") + text


def _runs(levels: Sequence[int]) -> bytes:
    """Return levels of at most eight bits as runs, with their length before them."""
    runs = b"".join(
        _varint(len(list(same)) << 1) + bytes([level]) for level, same in groupby(levels)
    )
    return len(runs).to_bytes(4, "little") + runs


def _fields(*fields: tuple[int, int, bytes], last: int = 0) -> bytes:
    """Return fields of a struct (number, type, value), after the one numbered `last`."""
    written = b""
    for number, kind, value in fields:
        written += bytes([number - last << 4 | kind]) + value
        last = number
    return written


def _list_of(kind: int, count: int) -> bytes:
    """Return what stands before the items of a list."""
    if count < 15:
        return bytes([count << 4 | kind])
    return bytes([0xF0 | kind]) + _varint(count)


def _binary(text: bytes) -> bytes:
    return _varint(len(text)) + text


@lru_cache(maxsize=65_536)
def _zigzag(number: int) -> bytes:
    """Return a number of zero or more as Thrift writes signed ones."""
    return _varint(number << 1)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


def _schema_of(written: bytes) -> bytes:
    """Return the schema in the footer of a file: its second field, after the version."""
    length = int.from_bytes(written[-8:-4], "little")
    footer = written[-8 - length : -8]
    start = _after(footer, 1, _I32) + 1
    return footer[start : _after(footer, start, _LIST)]


def _after(data: bytes, at: int, kind: int) -> int:
    """Return where a value of a compact type that begins at a place ends."""
    if kind in (1, 2):  # a boolean is its type
        return at
    if kind in (4, _I32, _I64):
        return _number(data, at)[1]
    if kind == _BINARY:
        length, at = _number(data, at)
        return at + length
    if kind == _LIST:
        count, inner = data[at] >> 4, data[at] & 15
        at += 1
        if count == 15:
            count, at = _number(data, at)
        for _ in range(count):
            at = _after(data, at, inner)
        return at
    assert kind == _STRUCT, f"a schema holds no value of Thrift's type {kind}"
    while data[at] != 0:
        inner, step = data[at] & 15, data[at] >> 4
        at += 1
        if not step:
            at = _number(data, at)[1]
        at = _after(data, at, inner)
    return at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at
