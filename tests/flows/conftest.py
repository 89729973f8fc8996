"""One temporary Prefect server for all tests of flows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows.runtime import quiet


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """Serve a temporary Prefect API while the tests of this folder run."""
    quiet.apply()
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
