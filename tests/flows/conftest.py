"""All tests of flows run on the temporary Prefect server."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _on_a_server(prefect_server: None) -> None:
    """Have a server before the first test."""
