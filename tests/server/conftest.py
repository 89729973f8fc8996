"""One real server a module and kind of database; PostgreSQL is started where it is there."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.world import World, free_port, world


@contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL server of its own; yield the address of a database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = found[-1].parent if found else Path(shutil.which("initdb") or "").parent
    if not (programs / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # PostgreSQL refuses to run as root.
    as_root = os.getuid() == 0
    user = next((u for u in ("postgres", "nobody") if as_root and _exists(u)), None)
    # Not below pytest's folder, which nobody but its owner may enter.
    folder, port = Path(tempfile.mkdtemp(prefix="pg-")), free_port()
    data = folder / "data"
    if user:
        shutil.chown(folder, user)

    def call(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, user=user, cwd=folder, timeout=120)

    call(str(programs / "initdb"), "-D", str(data), "-U", "prefect", "--auth=trust", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
    call(*control, "-o", options, "-l", str(folder / "log"), "start")
    try:
        call(
            str(programs / "createdb"),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-U",
            "prefect",
            "prefect",
        )
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        call(*control, "-m", "fast", "stop")
        shutil.rmtree(folder)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A server with nothing on it, a sandbox of 60 companies, and no lake yet."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        with world(folder, 60) as made:
            yield made
        return
    with (
        postgres() as address,
        world(folder, 60, PREFECT_API_DATABASE_CONNECTION_URL=address) as made,
    ):
        yield made
