"""What the tests of publishing share: a lake of both generations, an S3 server, a place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from polygon_fundamentals.publish.target import Target
from tests.builders.publishing import BUCKET, S3, BothBuilds, both_builds, s3_server


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> BothBuilds:
    return both_builds(tmp_path_factory.mktemp("publish") / "lake")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "folder":
        return Target.of(str(tmp_path / "tables"))
    server: S3 = request.getfixturevalue("store")
    return Target.of(f"s3://{BUCKET}/{tmp_path.name}", server.options())
