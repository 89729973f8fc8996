"""The command `import-v1`: recordings of v1's answers into the lake."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from flows.commands.output import program
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import Day, LakeFolder
from polygon_fundamentals.business_days import start_of, today_in_new_york
from polygon_fundamentals.errors import DamagedFileError, UsageError
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings import new_lake_root

if TYPE_CHECKING:
    from polygon_fundamentals.load.recorded import ImportReport

MAX_LINES = 20


class ImportV1Parameters(Parameters):
    """Which recordings, and when they were made."""

    paths: Annotated[
        list[str], Flag("PATH", help="files or folders of recordings, one or more")
    ] = Field(default_factory=list)
    as_recorded: Annotated[
        Day,
        Flag(
            metavar="DAY",
            help="the day in New York on which they were made; they count as known from that day",
            unset="what the recordings say",
        ),
    ] = None
    lake: LakeFolder = None

    @model_validator(mode="after")
    def _check_day(self) -> Self:
        today = today_in_new_york()
        if self.as_recorded is not None and self.as_recorded > today:
            raise UsageError(
                f"--as-recorded {self.as_recorded} is in the future: today is {today} in New York"
            )
        return self


def run(given: ImportV1Parameters, as_json: bool) -> int:
    """Import recordings; return the exit code.

    It is 4 if a file of the lake is damaged, and 3 if a recording cannot be read or none is of v1.
    """
    if not given.paths:
        raise UsageError("name the files or folders of recordings: import-v1 PATH...")
    from polygon_fundamentals.load.recorded import files_of, import_v1

    paths = [Path(path).expanduser() for path in given.paths]
    files_of(paths)
    # Imported after the checks, so that wrong use is reported at once.
    from flows.runs import recorded_run
    from polygon_fundamentals.lake import Lake
    from polygon_fundamentals.statements import Generation

    lake = Lake(new_lake_root(given.lake))
    moment = None if given.as_recorded is None else start_of(given.as_recorded)
    began = time.monotonic()

    def progress(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {of:,} recordings", end="", file=sys.stderr, flush=True)

    parameters = {
        "paths": [str(path.absolute()) for path in paths],
        "as_recorded": given.as_recorded and given.as_recorded.isoformat(),
    }
    with recorded_run("import-v1", lake, parameters, writes=[Generation.V1]) as entry:
        imported = import_v1(lake, paths, moment, progress)
        lost = [p for p in imported.problems if p.kind != "skipped"]
        ok = bool(imported.records) and not lost
        report = imported.as_json()
        report["seconds"] = round(time.monotonic() - began, 3)
        message = _sentence(imported, len(lost))
        entry.report.update(ok=ok, message=message, v1=report)
    if as_json:
        print(json.dumps({**report, "lake": str(lake.root), "run": entry.id}))
    else:
        print(f"{message}; lake: {lake.root}")
        for problem in imported.problems[:MAX_LINES]:
            where = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
            print(f"{problem.kind}: {where}: {problem.reason}")
        if len(imported.problems) > MAX_LINES:
            print(f"and {len(imported.problems) - MAX_LINES} more; --json lists all of them")
        if imported.records:
            print(
                f"next: {program()} historical-load --generation v2 --lake {lake.root}, then "
                "silver and parity (docs/old-readers.md, After the import)"
            )
    if any(problem.kind == "lake" for problem in lost):
        return DamagedFileError.exit_code
    return 0 if ok else 3


def _sentence(imported: ImportReport, lost: int) -> str:
    """Return what was imported, what could not be (`lost`), and what was passed over."""
    message = (
        f"{counted(imported.records, 'record')} of {counted(imported.files, 'file')}: "
        f"{imported.counts.rows_new:,} rows new, {imported.counts.rows_changed:,} changed, "
        f"{imported.counts.rows_unchanged:,} unchanged"
    )
    if lost:
        what = "recording or line" if lost == 1 else "recordings or lines"
        message += f"; {lost:,} {what} could not be imported"
    if skipped := len(imported.problems) - lost:
        what = "file or line" if skipped == 1 else "files or lines"
        was = "was" if skipped == 1 else "were"
        message += f"; {skipped:,} {what} without a record of v1 {was} skipped"
    if not imported.records:
        message += "; nothing was imported: name recordings of v1's answers"
    return message
