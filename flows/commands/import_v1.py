"""The command `import-v1`: recordings of v1's answers into the lake."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from datetime import time as clock
from pathlib import Path
from typing import Annotated

from pydantic import Field

from flows.parameters import Day, Flag, LakeFolder, Parameters
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings import lake_root

LOCK_SECONDS = 60.0
MAX_LINES = 20


class ImportV1Parameters(Parameters):
    """Which recordings, and when they were made."""

    paths: Annotated[list[str], Flag("PATH", help="files and folders of recordings")] = Field(
        default_factory=list
    )
    as_recorded: Annotated[
        Day, Flag(metavar="DAY", help="when they were made", unset="as they say themselves")
    ] = None
    lake: LakeFolder = None


def run(given: ImportV1Parameters, as_json: bool) -> int:
    """Import recordings; return 0, or 3 where some could not be read."""
    if not given.paths:
        raise UsageError("name the files or folders of recordings: import-v1 PATH...")
    from polygon_fundamentals import ledger
    from polygon_fundamentals.lake import Lake
    from polygon_fundamentals.lake.archived_rows import refuse_archived
    from polygon_fundamentals.lake.commit import recover
    from polygon_fundamentals.load.recorded import files_of, import_v1
    from polygon_fundamentals.locks import shared

    paths = [Path(path).expanduser() for path in given.paths]
    files_of(paths)
    lake = Lake(lake_root(given.lake))
    lake.prepare()
    moment = None
    if given.as_recorded is not None:
        moment = datetime.combine(given.as_recorded, clock(), UTC)
    began = time.monotonic()

    def progress(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {of:,} recordings", end="", file=sys.stderr, flush=True)

    with shared(lake.lock("writers"), LOCK_SECONDS, "the lake's switch (a cutover or rollback)"):
        refuse_archived(lake)
        recover(lake)
        ledger.close_crashed(lake)
        parameters = {
            "paths": [str(path.absolute()) for path in paths],
            "as_recorded": given.as_recorded and given.as_recorded.isoformat(),
        }
        entry = ledger.Run(lake, "import-v1", parameters)
        with ledger.recorded(entry):
            found = import_v1(lake, paths, moment, progress)
            lost = [p for p in found.problems if p.kind != "skipped"]
            report = found.as_json()
            report["seconds"] = round(time.monotonic() - began, 3)
            message = (
                f"{found.records:,} records of {found.files:,} files: "
                f"{found.counts.rows_new:,} rows new, {found.counts.rows_changed:,} changed, "
                f"{found.counts.rows_unchanged:,} unchanged"
            )
            if lost:
                message += f"; {len(lost)} recordings or lines could not be imported"
            entry.report.update(ok=not lost, message=message, v1=report)
    if as_json:
        print(json.dumps({**report, "lake": str(lake.root), "run": entry.id}))
    else:
        print(message)
        for problem in found.problems[:MAX_LINES]:
            where = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
            print(f"{problem.kind}: {where}: {problem.reason}")
        if len(found.problems) > MAX_LINES:
            print(f"and {len(found.problems) - MAX_LINES} more; --json lists all of them")
    return 3 if lost else 0
