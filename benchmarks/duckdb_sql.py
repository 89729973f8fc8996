"""Run the queries of a file with DuckDB; print values compared and values that differ.

python benchmarks/duckdb_sql.py parity.sql
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb


def main(file: str) -> None:
    """Run all queries of the file."""
    found = {"compared": 0, "differ": 0, "only_v1": 0, "only_v2": 0, "periods": 0}
    connection = duckdb.connect()
    for query in Path(file).read_text().split(";\n"):
        if not query.strip():
            continue
        answer = connection.execute(query)
        names = [column[0] for column in answer.description]
        row = dict(zip(names, answer.fetchone(), strict=True))
        found["periods"] += row["periods"]
        for name, value in row.items():
            kind = name.rpartition("__")[2]
            if "__" in name:
                found[kind] += value
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
