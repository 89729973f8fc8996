"""The command `status`: no flow, no server, nothing but the lake."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from flows.parameters import Flag, StatusParameters
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.settings import existing_lake_root

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polygon_fundamentals.status import Figures, Row

TARGETS_FILE = Path(__file__).parents[2] / "deployments" / "targets.toml"


class StatusCommand(StatusParameters):
    """The status once or in place, in the terminal and as a page."""

    watch: Annotated[bool, Flag(help="refresh in place until Ctrl-C")] = False
    every: Annotated[float, Field(gt=0), Flag(metavar="S", help="with --watch")] = 5.0
    html: Annotated[str | None, Flag(metavar="FILE", help="write the status as one page too")] = (
        None
    )
    targets: Annotated[
        str | None, Flag(metavar="F", help="targets", unset="deployments/targets.toml")
    ] = None


def run(given: StatusCommand, as_json: bool) -> int:
    """Show the status; 1 where something is amiss."""
    from polygon_fundamentals import ledger
    from polygon_fundamentals.lake.storage.local import replace_file
    from polygon_fundamentals.status import as_html, gather, judge, load_targets
    from polygon_fundamentals.status import as_json as json_of

    root = existing_lake_root(given.lake)
    if given.targets and not Path(given.targets).is_file():
        raise UsageError(f"--targets {given.targets} is no file")
    if given.watch and as_json:
        raise UsageError("--watch goes without --json")
    lake, targets = Lake(root), load_targets(Path(given.targets or TARGETS_FILE))

    def look() -> tuple[Figures, list[Row]]:
        figures = gather(lake, targets)
        return figures, judge(figures)

    with suppress(OSError):  # a lake that cannot be written has its status too
        ledger.close_crashed(lake)
    figures, rows = look()
    if given.html:
        replace_file(Path(given.html).absolute(), as_html(figures, rows).encode())
    if as_json:
        print(json.dumps(json_of(figures, rows)))
        return 0 if all(row.ok for row in rows) else 1
    from rich.console import Console
    from rich.live import Live

    if not given.watch:
        # A file or a pipe has no width: wide enough that nothing is cut.
        Console(width=None if sys.stdout.isatty() else 100).print(shown(figures, rows))
        return 0 if all(row.ok for row in rows) else 1
    with Live(shown(figures, rows), auto_refresh=False) as live:
        while True:
            time.sleep(given.every)
            live.update(shown(*look()), refresh=True)


def shown(figures: Figures, rows: list[Row]) -> RenderableType:
    """Return the status for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from polygon_fundamentals.status import render

    # No vertical rules: the ten columns then fit into 80 characters, dates whole.
    datasets = Table(
        box=SIMPLE_HEAD,
        padding=(0, 0),
        collapse_padding=True,
        title=escape(f"{figures.lake} · {figures.at:%Y-%m-%d %H:%M} UTC"),
    )
    for number, name in enumerate(render.DATASET_COLUMNS):
        datasets.add_column(name, justify="right" if number else "left", no_wrap=True)
    for cells in render.dataset_cells(figures):
        datasets.add_row(*cells)
    runs = Table(title="last runs", box=SIMPLE_HEAD)
    for name in render.RUN_COLUMNS:
        runs.add_column(name)
    for cells in render.run_cells(figures):
        runs.add_row(*(escape(cell) for cell in cells))
    datasets_named = {f"{d.generation} {d.statement}" for d in figures.datasets}
    rest = Table(show_header=False, box=None)
    for row in rows:
        if row.ok and row.name in datasets_named:
            continue
        style = "" if row.ok else "bold red"
        rest.add_row(Text("ok" if row.ok else "!", style), Text(row.name), Text(row.detail, style))
    return Group(datasets, runs, rest) if figures.runs else Group(datasets, rest)
