"""Where the silver table is, and which files in it are another tool's.

Apart from the room `silver`, which builds the table with pandas: `status` needs no more than this.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from polygon_fundamentals.lake.paths import SILVER_NOTE, Lake

TABLE = "fundamentals_wide"
# pandas, pyarrow and Spark pass over names that begin so: a read of the wide table is of it alone.
HISTORY_FOLDER = "_history"
# Earlier versions wrote one file at the root.
_OURS = re.compile(r"(year=-?[0-9]+/)?part-[0-9a-f]+\.parquet")


def link_of(lake: Lake) -> Path:
    """Return `silver/fundamentals_wide`, the path that readers of silver use."""
    return lake.silver / TABLE


def foreign_files(link: Path) -> list[str]:
    """Return the files below a build that are not of it, relative to it, sorted."""
    foreign = []
    for folder, names, files in os.walk(Path(os.path.realpath(link))):
        names[:] = [name for name in names if name != HISTORY_FOLDER]
        place = Path(folder).relative_to(os.path.realpath(link))
        foreign += [str(place / name) for name in files]
    return sorted(n for n in foreign if n != SILVER_NOTE and not _OURS.fullmatch(n))
