"""The silver table: one schema whichever generation is primary, and what was known when.

from polygon_fundamentals import silver

found = silver.build(lake)                    # builds, then leads readers to it
silver.as_of(lake, date(2024, 5, 31))         # the table as it could have been known then
"""

from polygon_fundamentals.silver.builds import (
    Build,
    build,
    current_build,
    point,
    table_path,
)
from polygon_fundamentals.silver.links import TABLE
from polygon_fundamentals.silver.schema import value_columns, wide_schema
from polygon_fundamentals.silver.table import as_of, wide_table

__all__ = [
    "TABLE",
    "Build",
    "as_of",
    "build",
    "current_build",
    "point",
    "table_path",
    "value_columns",
    "wide_schema",
    "wide_table",
]
