"""The oldest versions that docs/migration.md names still read the lake's files and folders.

They are installed into environments of their own; where that cannot be done the test says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.companies import resolve_companies
from polygon_fundamentals.load.historical import load_v1, load_v2
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.conftest import client_of

STATEMENT = Statement.INCOME_STATEMENTS
DOCS = Path(__file__).parents[2] / "docs" / "migration.md"
# Reader → packages: the oldest with wheels for Python 3.11 that read the folders; DuckDB 0.6
# does not import there and 0.7 misreads the folder's year, polars before 0.20.7 refuses hive
# folders whose files are named ticker=SYMBOL. pandas 1.5 needs the numpy of its time.
OLDEST = {
    "pandas": ("pandas==1.5.0", "pyarrow==10.0.1", "numpy==1.23.5"),
    "pyarrow": ("pyarrow==10.0.1", "numpy==1.23.5"),
    "polars": ("polars==0.20.7",),
    "duckdb": ("duckdb==0.8.0", "numpy==1.23.5"),
}
# Each prints [rows of one file, rows of the folder, a number of the file's first row].
CODE = {
    "pandas": """
import pandas as pd
one, rows = pd.read_parquet(file), len(pd.read_parquet(folder))
first = one.iloc[0].to_dict()
""",
    "pyarrow": """
import pyarrow.dataset as ds, pyarrow.parquet as pq
one, rows = pq.ParquetFile(file).read(), ds.dataset(folder, partitioning="hive").to_table().num_rows
first = one.to_pylist()[0]
""",
    "polars": """
import polars as pl
one, rows = pl.read_parquet(file), pl.scan_parquet(files, hive_partitioning=True).collect().height
first = one.to_dicts()[0]
""",
    "duckdb": """
import duckdb
one = duckdb.execute(f"select * from read_parquet('{file}')").fetchall()
sql = f"select count(*), min(cast(year as int)) from read_parquet('{files}', hive_partitioning=1)"
rows, year = duckdb.execute(sql).fetchone()
assert 1900 <= year <= 2026, year
names = [name for name, *_ in duckdb.execute(f"select * from read_parquet('{file}')").description]
first = dict(zip(names, one[0]))
""",
}
HEAD = """
import json, sys
file, folder, files = sys.argv[1:]
"""
TAIL = """
line = first.get("financials")
value = line["income_statement"]["revenues"]["value"] if line else first["revenue"]
print(json.dumps([len(one), rows, value]))
"""


@pytest.fixture(scope="module")
def lake(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("oldest"))
    made.prepare()
    client, tickers = client_of(sandbox), [sandbox.tickers[0], "NAN"]
    for ticker in tickers:
        load_v1(Loader(client, made), ticker, [STATEMENT], Filters())
    companies = resolve_companies(client, made, tickers)
    load_v2(Loader(client, made), companies, STATEMENT, Filters())
    return made


@pytest.mark.parametrize("reader", OLDEST)
def test_the_oldest_versions_are_the_documented_ones(reader: str) -> None:
    package = next(p for p in OLDEST[reader] if p.startswith(reader))
    assert package.replace("==", " ") in DOCS.read_text(encoding="utf-8").replace(
        "DuckDB", "duckdb"
    )


@pytest.mark.slow
@pytest.mark.parametrize("reader", OLDEST)
def test_the_oldest_reader_reads_both_generations(lake: Lake, reader: str, tmp_path: Path) -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the oldest versions have wheels for Python 3.11 only")
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    got = subprocess.run(
        [*pip, "--disable-pip-version-check", "--only-binary", ":all:", *OLDEST[reader]],
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode:
        pytest.skip(f"{reader} cannot be installed here: {got.stderr.strip().splitlines()[-1]}")
    for generation in Generation:
        folder = lake.dataset(generation, STATEMENT).folder
        files = sorted(folder.glob("year=*/month=*/ticker=*.parquet"))
        dated = next(file for file in files if "year=1900" not in str(file))
        row = pq.ParquetFile(dated).read().to_pylist()[0]
        line = row.get("financials")
        value = line["income_statement"]["revenues"]["value"] if line else row["revenue"]
        words = [dated, folder, f"{folder}/year=*/month=*/*.parquet"]
        told = subprocess.run(
            [python, "-c", HEAD + CODE[reader] + TAIL, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        assert rows > 100
        assert json.loads(told.stdout) == [pq.read_metadata(dated).num_rows, rows, value]
