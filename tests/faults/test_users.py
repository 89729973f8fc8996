"""Two users of one group work on one lake: real commands, each as its own user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.faults import GROUP, other_users_can_work
from sandbox import Sandbox

ROOT = Path(__file__).parents[2]
TICKERS = ["AAAX", "SBX.A", "SBX.B"]
LOAD = ("historical-load", "--timeframe", "quarterly", "--tickers", ",".join(TICKERS))
Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not other_users_can_work(), reason="needs root, and a Python that other users can read"
    ),
]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder as users who share a lake set it up: of their group, which new files inherit."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)  # pytest lets nobody else in
    folder = tmp_path / "shared"
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)
    return folder


@pytest.fixture
def command(shared: Path) -> Iterator[Command]:
    """Return what runs a command as user 1 or 2, with a umask."""
    with Sandbox(companies=2, api_key="key") as sandbox:
        assert sandbox.tickers == TICKERS

        def run(user: int, umask: int, *words: str) -> subprocess.CompletedProcess[str]:
            home = shared.parent / f"home-{user}"
            home.mkdir(exist_ok=True)
            os.chown(home, GROUP + user, GROUP)
            given = {"HOME": home, "PREFECT_HOME": home / "prefect", "TMPDIR": home}
            wanted = {"POLYGON_API_KEY": "key", "POLYGON_BASE_URL": sandbox.url}
            return subprocess.run(
                [sys.executable, "-B", "-m", "flows", *words, "--lake", str(shared / "lake")],
                cwd=ROOT,
                env={**os.environ, **{name: str(path) for name, path in given.items()}, **wanted},
                user=GROUP + user,
                group=GROUP,
                extra_groups=[],
                umask=umask,
                capture_output=True,
                text=True,
                check=False,
            )

        yield run


def _state(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_users_whose_umask_lets_the_group_write_take_turns(command: Command, shared: Path) -> None:
    loaded = command(1, 0o002, *LOAD)
    assert loaded.returncode == 0, loaded.stderr
    for user, words in (
        (2, ("daily-update", "--generation", "both")),
        (1, ("silver",)),
        (2, ("cutover", "--execute", "--force", "a test")),
        (1, ("rollback", "--execute")),
        (2, ("verify",)),
    ):
        ran = command(user, 0o002, *words)
        assert ran.returncode == 0, (words, ran.stdout, ran.stderr)
    owners = {path.lstat().st_uid - GROUP for path in (shared / "lake").rglob("*")}
    assert owners == {1, 2}


def test_a_user_who_may_not_write_is_refused_and_nothing_changes(
    command: Command, shared: Path
) -> None:
    assert command(1, 0o022, *LOAD).returncode == 0
    before = _state(shared / "lake")
    for words in (("daily-update",), ("refresh",), ("cutover", "--execute", "--force", "a test")):
        ran = command(2, 0o022, *words)
        assert ran.returncode == 2, (words, ran.stdout, ran.stderr)
        assert "cannot be written (Permission denied)" in ran.stderr
        assert len(ran.stderr.strip().splitlines()) == 1
    assert command(2, 0o022, "status").returncode in (0, 1)  # reading is allowed
    assert _state(shared / "lake") == before
