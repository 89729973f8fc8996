"""The Dockerfile: its steps carried out, and the demo and `serve-v1` run in what they make."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.apply import make_image
from deployments.declared import PrefectFile, read
from flows import switching
from polygon_fundamentals.errors import UsageError
from tests.builders.image import CONTEXT, ROOT, Builder, Stage, instructions, let_through

DOCKERFILE = ROOT / "Dockerfile"


def test_every_version_is_pinned_and_nothing_but_the_project_goes_in() -> None:
    steps = instructions(DOCKERFILE.read_text())
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert installs
    assert all("-c constraints.txt" in rest for rest in installs)
    copied = {
        name
        for word, rest in steps
        if word == "COPY" and "--from" not in rest
        for name in rest.split()[:-1]
    }
    assert copied == CONTEXT == let_through((ROOT / ".dockerignore").read_text())
    assert [rest for word, rest in steps if word == "USER"] == ["10001:10001"]


def test_the_files_that_flows_read_go_in() -> None:
    """`sign-off training` signs the page as it stands in the image."""
    for path in (switching.CONTACTS, switching.READERS, switching.THRESHOLDS, switching.TRAINING):
        inside = path.relative_to(ROOT)
        assert path.is_file()
        assert any(inside.is_relative_to(name) for name in CONTEXT), path


def test_the_group_may_write_what_a_container_wrote() -> None:
    (entrypoint,) = (r for word, r in instructions(DOCKERFILE.read_text()) if word == "ENTRYPOINT")
    script = 'umask; echo "$@"; exit 3'
    words = [*json.loads(entrypoint), "sh", "-c", script, "sh", "a  b", "$c"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, umask=0o077)
    assert (done.returncode, done.stdout) == (3, "0002\na  b $c\n")


def with_steps(script: str) -> PrefectFile:
    step = {"prefect.deployments.steps.run_shell_script": {"script": script}}
    return read().model_copy(update={"build": [step], "push": [step]})


@pytest.mark.usefixtures("prefect_server")
def test_a_deploy_carries_out_the_steps_that_a_user_turns_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_image(read())  # as it is in the file: none
    make_image(with_steps("sh -c 'echo step >> steps.txt'"))
    assert (tmp_path / "steps.txt").read_text() == "step\n" * 2
    with pytest.raises(UsageError, match=r"of prefect\.yaml failed, so nothing was"):
        make_image(with_steps("sh -c 'exit 3'"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stage]]:
    if os.geteuid() != 0:
        pytest.skip("carrying out the steps of the Dockerfile needs root, for mount and chroot")
    with Builder(tmp_path_factory.mktemp("image")) as builder:
        try:
            stages = builder.build(DOCKERFILE)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"mounting is not allowed here: {error.stderr!r}")
        yield stages


@pytest.mark.slow
def test_the_image_runs_the_demo_as_a_user_that_is_not_root(image: dict[str, Stage]) -> None:
    stage = image["default"]
    assert stage.run("id", "-u")[1].strip() == "10001"
    assert stage.run("touch", "/app/new")[0] != 0
    code, said = stage.run(*stage.command)
    assert code == 0
    assert "historical-load" in said
    for tool in ("pip", "setuptools", "wheel"):
        code, said = stage.run("python", "-c", f"import {tool}")
        assert code != 0, tool
        assert "ModuleNotFoundError" in said
    assert (stage.root / f"app/{switching.TRAINING.relative_to(ROOT)}").is_file()
    size = subprocess.run(
        ["du", "-sm", str(stage.root / "app")], capture_output=True, text=True, check=True
    )
    print(f"the image's /app: {size.stdout.split()[0]} MB")
    code, said = stage.run("polygon-fundamentals", "demo", "--lake", "/data/lake/demo")
    assert code == 0, said[-3000:]
    assert (stage.root / "data/lake/demo/silver/fundamentals_wide").is_symlink()


@pytest.mark.slow
def test_the_healthcheck_says_whether_v1s_api_answers(image: dict[str, Stage]) -> None:
    stage = image["serve-v1"]
    assert stage.healthcheck
    assert stage.run(*stage.healthcheck)[0] != 0
    assert stage.run("mkdir", "-p", "/data/lake/bronze")[0] == 0  # an empty mount is no lake
    server = stage.start(stage.command, POLYGON_API_KEY="a-readers-key")
    try:
        until = time.monotonic() + 60
        while (code := stage.run(*stage.healthcheck)[0]) and time.monotonic() < until:
            assert server.poll() is None, server.stdout and server.stdout.read()
        assert code == 0
    finally:
        server.terminate()
        server.wait(30)
    assert stage.run(*stage.healthcheck)[0] != 0
