"""The rows of a build in parts, each of which any process makes that sees the lake.

Each lists the folders for itself, and leaves its rows in a file of a folder that all share.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pyarrow as pa

from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replacing
from polygon_fundamentals.silver.table import Part, Source
from polygon_fundamentals.statements import Generation

# Tickers of a part: few enough that some hundred companies give every core several.
PART_TICKERS = 75
# In the metadata of a part's file.
_LEFT_OUT = b"left_out"


def plan_parts(lake: Lake, generation: Generation) -> list[list[str]]:
    """Return the tickers of each part, as whole companies; empty if there are too few for parts.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
    """
    source = Source.of(lake, generation)
    return [sorted(part) for part in source.batches(PART_TICKERS) if part is not None]


def make_part(
    lake: Lake, generation: Generation, tickers: Sequence[str], folder: Path, number: int
) -> int:
    """Leave the rows of a part in `folder`; return how many there are.

    Raises:
        DamagedFileError: a file of the lake cannot be read; the text names it.
    """
    mine = frozenset(tickers)
    part = Source.of(lake, generation, mine).part(mine)
    rows = part.rows.replace_schema_metadata({_LEFT_OUT: orjson.dumps(part.left_out)})
    with replacing(_path(folder, number)) as beside, pa.ipc.new_file(beside, rows.schema) as file:
        file.write_table(rows)
    return len(rows)


def read_part(folder: Path, number: int) -> Part:
    """Return a part, its rows mapped from its file."""
    with pa.memory_map(str(_path(folder, number))) as mapped:
        rows = pa.ipc.open_file(mapped).read_all()
    return Part(rows.replace_schema_metadata(None), orjson.loads(rows.schema.metadata[_LEFT_OUT]))


def _path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:04}.arrow"
