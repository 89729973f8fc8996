"""The command `status`: no flow, no server, nothing but the lake."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flows.commands.output import reader_may_leave, reworded
from flows.contacts import whom_to_tell
from flows.parameters.declaration import Flag
from flows.parameters.lake import StatusParameters
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.settings import existing_lake_root

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polygon_fundamentals.status import Figures, Row


WIDE = 100
# In a terminal narrower than that: the page and --json have it too.
NARROW = ("age",)
# A longer name, as of a place in the cloud, takes two lines.
NAME_WIDTH = 27


class StatusCommand(StatusParameters):
    """The status once or in place, in the terminal and as a page."""

    watch: Annotated[bool, Flag(help="redraw every few seconds until Ctrl-C")] = False
    every: Annotated[
        float, Field(gt=0), Flag(metavar="SECONDS", help="with --watch: how often to redraw")
    ] = 5.0
    html: Annotated[str | None, Flag(metavar="FILE", help="write the status as one page too")] = (
        None
    )
    targets: Annotated[
        str | None,
        Flag(metavar="FILE", help="the targets to judge by", unset="deployments/targets.toml"),
    ] = None


def run(given: StatusCommand, as_json: bool) -> int:
    """Show the status; return 1 if a row is not ok. A row that is not judged counts as ok."""
    from flows.lake_status import TARGETS_FILE, status_of
    from flows.runtime.progress import still_running
    from polygon_fundamentals import ledger
    from polygon_fundamentals.lake.storage.local import replace_file
    from polygon_fundamentals.status import alarms, as_html
    from polygon_fundamentals.status import as_json as json_of

    root = existing_lake_root(given.lake)
    if given.targets and not Path(given.targets).is_file():
        raise UsageError(f"--targets {given.targets} is not a file")
    if given.watch and as_json:
        raise UsageError("--watch cannot be combined with --json")
    lake, targets = Lake(root), Path(given.targets or TARGETS_FILE)
    with suppress(OSError):  # a lake that cannot be written has its status too
        ledger.close_crashed(lake)
    with still_running("status: reading the files that changed"):
        figures, rows = status_of(lake, targets)
    code = 1 if alarms(rows) else 0
    if given.html:
        replace_file(Path(given.html).absolute(), as_html(figures, rows).encode())
    if as_json:
        with reader_may_leave():
            print(json.dumps(json_of(figures, rows) | {"contacts": whom_to_tell()}))
        return code
    from rich.console import Console
    from rich.live import Live

    if not given.watch:
        # A file or a pipe has no width: wide enough that nothing is cut.
        console = Console(width=None if sys.stdout.isatty() else WIDE)
        with console.capture() as screen:
            console.print(shown(figures, rows, console.width))
        with reader_may_leave():
            print(screen.get(), end="")
        return code
    with Live(auto_refresh=False) as live:
        while True:
            live.update(shown(figures, rows, live.console.width), refresh=True)
            time.sleep(given.every)
            figures, rows = status_of(lake, targets)


def shown(figures: Figures, rows: list[Row], width: int) -> RenderableType:
    """Return the status for a terminal: the verdict, the rows, then the datasets and the runs."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from polygon_fundamentals.status import alarms, render

    bad = bool(alarms(rows))
    first = max((len(row.name) for row in render.beside_datasets(figures, rows)), default=0)
    parts: list[RenderableType] = [
        Text(render.verdict(rows), "bold red" if bad else "bold green"),
        Text(render.summary(figures, rows), "dim"),
    ]
    for heading, members in render.groups(figures, rows):
        table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
        table.add_column(no_wrap=True, width=6)
        table.add_column(width=min(first, NAME_WIDTH))
        table.add_column()
        for row in members:
            style = {True: "", False: "bold red", None: "dim"}[row.ok]
            kind = {True: "green", False: "bold red", None: "dim"}[row.ok]
            detail = Text(reworded(row.detail), style)
            table.add_row(Text(render.mark(row), kind), Text(row.name, style), detail)
        parts += [Text(f"\n{heading}", "bold"), table]
    whom = whom_to_tell()
    if whom and bad:
        parts.append(Text(f"\n{whom}"))
    return Group(*parts, *_tables(figures, () if width >= WIDE else NARROW))


def _tables(figures: Figures, left_out: tuple[str, ...]) -> list[RenderableType]:
    """The datasets and the last runs, with their headings."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from polygon_fundamentals.status import render

    datasets = Table(box=SIMPLE_HEAD, padding=(0, 0), collapse_padding=True)
    places = [n for n, name in enumerate(render.DATASET_COLUMNS) if name not in left_out]
    for number in places:
        name = render.DATASET_COLUMNS[number]
        datasets.add_column(name, justify="right" if number else "left", no_wrap=True)
    for cells in render.dataset_cells(figures):
        datasets.add_row(*(cells[number] for number in places))
    parts: list[RenderableType] = [Text("\nDatasets", "bold"), datasets]
    parts.append(Text(render.DATASET_NOTE, "dim"))
    if figures.runs:
        runs = Table(box=SIMPLE_HEAD)
        for name in render.RUN_COLUMNS:
            runs.add_column(name)
        for cells in render.run_cells(figures):
            runs.add_row(*(escape(cell) for cell in cells))
        parts += [Text("\nLast runs", "bold"), runs]
    return parts
