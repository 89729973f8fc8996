"""`deploy` carries out the steps under `build:` and `push:` of prefect.yaml; `serve` does not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from deployments import apply, declared
from deployments.steps import Step
from flows.commands import deploy, serve
from flows.runtime import serving
from polygon_fundamentals.server import LIMIT_NAME

# No object of ours is made on the server that all tests of flows share.
LIMIT = Step(f"rate limit {LIMIT_NAME}", (), list, "at most 5 requests in any minute")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that appears once the step under `build:` was carried out."""
    file = tmp_path / "built"
    script = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {file}"}}
    with_image = declared.read().model_copy(update={"build": [script]})
    monkeypatch.setattr(declared, "read", lambda *_: with_image)
    monkeypatch.setattr(apply, "_steps", lambda *_: [LIMIT])
    return file


def test_deploy_carries_them_out(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    assert deploy.run(deploy.DeployParameters(plan=True), False) == 0
    assert not built.exists()
    assert deploy.run(deploy.DeployParameters(), False) == 0
    assert built.exists()


def test_serve_does_not(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def server(*_: object) -> Iterator[serving.Serving]:
        yield serving.Serving(str(PREFECT_API_URL.value()).removesuffix("/api"), {})

    @contextmanager
    def worker(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(serving, "server", server)
    monkeypatch.setattr(serving, "worker", worker)
    # Set and removed, so that what `serve` sets is removed after the test.
    monkeypatch.setenv("PREFECT_API_URL", "")
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert serve.run(serve.ServeParameters(), False) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "1 objects on the server, 0 of them new or changed" in capsys.readouterr().out
    assert not built.exists()
