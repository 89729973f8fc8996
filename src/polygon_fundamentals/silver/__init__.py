"""The silver tables: one schema whichever generation is primary, and what was known when.

from polygon_fundamentals import silver

silver.table_path("data/lake")                       # the folder of the present table
silver.as_of("data/lake", date(2024, 5, 31))         # the table as it could have been known then
silver.join_as_of(prices, "data/lake", columns=["is_revenue"])  # the latest period on each day
"""

from polygon_fundamentals.lake.silver_files import TABLE
from polygon_fundamentals.silver.bitemporal import join_as_of, read_history
from polygon_fundamentals.silver.builds import (
    Build,
    build,
    current_build,
    point,
    table_path,
)
from polygon_fundamentals.silver.links import HISTORY_TABLE
from polygon_fundamentals.silver.schema import value_columns, wide_schema
from polygon_fundamentals.silver.table import as_of, history_table, known_on, wide_table

__all__ = [
    "HISTORY_TABLE",
    "TABLE",
    "Build",
    "as_of",
    "build",
    "current_build",
    "history_table",
    "join_as_of",
    "known_on",
    "point",
    "read_history",
    "table_path",
    "value_columns",
    "wide_schema",
    "wide_table",
]
