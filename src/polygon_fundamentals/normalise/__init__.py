"""From an answer's JSON to typed Arrow tables, losing nothing on the way.

`v1_tables` and `v2_table` turn rows into tables of the fixed schemas in `datasets/schemas.py`;
`datasets/keys.py` names a row (record key) and says whether its content changed (hash).
"""

from polygon_fundamentals.normalise.v1 import v1_tables
from polygon_fundamentals.normalise.v2 import v2_table

__all__ = ["v1_tables", "v2_table"]
