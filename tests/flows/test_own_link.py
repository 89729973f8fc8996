"""A lake whose `bronze/fundamentals` is the user's own link to another disk, by commands alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from polygon_fundamentals.lake import Lake
from sandbox import Sandbox
from tests.builders.commands import call, call_with_errors


@pytest.mark.slow
def test_the_commands_of_the_message_and_then_the_whole_migration(
    sandbox: Sandbox, lake: Lake, tmp_path: Path
) -> None:
    where = ["--lake", str(lake.root)]
    load = ["historical-load", "--tickers", "NAN", "--base-url", sandbox.url, *where]
    assert call(*load, "--generation", "v1")[0] == 0
    disk = tmp_path / "disk" / "fundamentals"
    disk.parent.mkdir()
    shutil.move(lake.pointer, disk)
    shutil.rmtree(lake.ops)  # as another tool leaves it
    lake.pointer.symlink_to(disk)

    def seen() -> list[str]:
        return sorted(str(p.relative_to(lake.pointer)) for p in lake.pointer.rglob("*.parquet"))

    before = seen()
    assert before
    for command in (["status"], ["inspect"], ["drill"], ["silver"], ["parity"], [*load[:-2]]):
        code, _, errors = call_with_errors(*command, *where)
        assert (code, seen()) == (4, before), command
    [remedy] = re.findall("`([^`]+)`", errors)
    subprocess.run(remedy, shell=True, check=True)
    assert seen() == before
    assert call("inspect", *where)[0] == 0
    code, report = call(*load, "--generation", "both")
    assert code == 0
    for command in (["silver"], ["parity"], ["drill"], ["cutover", "--execute", "--force", "test"]):
        code, report = call(*command, *where)
        assert code == 0, report["message"]
    assert lake.primary == "v2"
    assert call("rollback", "--execute", "--accept-stale", *where)[0] == 0
    assert seen() == before == sorted(str(p.relative_to(disk)) for p in disk.rglob("*.parquet"))
