"""The commands `silver`, `publish` and `export`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flows.commands.report_lines import PRESENT_VALUES, export_lines, publish_lines, silver_lines
from flows.commands.run import run_flow
from flows.commands.spread import SpreadParameters
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.lake import ExportParameters, PublishParameters, SilverParameters
from flows.parameters.shared import LakeFolder, Statements
from polygon_fundamentals.errors import AnswerIsNo, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.publish.target import Target
from polygon_fundamentals.settings import existing_lake_root, publish_url
from polygon_fundamentals.statements import ALL_STATEMENTS
from polygon_fundamentals.tickers import read_tickers


class SilverCommand(SilverParameters, SpreadParameters):
    """A build of silver, in this process, in several, or on Dask."""


def silver(given: SilverCommand, as_json: bool) -> int:
    given.check_server()
    existing_lake_root(given.lake)
    values = given.values(SilverParameters)
    return run_flow("flows.silver.silver", values, silver_lines, as_json, given.with_runner)


def publish(given: PublishParameters, as_json: bool) -> int:
    """Publish silver's tables; what is wrong with the place is said before Prefect is loaded."""
    existing_lake_root(given.lake)
    Target.of(publish_url(given.to))
    return run_flow("flows.publish.publish", given.values(), publish_lines, as_json)


class ExportCommand(Parameters):
    """Some tickers' records to print, or the whole lake into a folder."""

    shape: Annotated[Literal["v1"], Flag(help="the form of the records")]
    statements: Statements = ALL_STATEMENTS
    tickers: Annotated[
        list[str], Flag("--ticker", metavar="TICKER", help="print this ticker's records")
    ] = Field(default_factory=list)
    output: Annotated[
        str | None, Flag(metavar="DIR", help="write the whole lake into this new folder instead")
    ] = None
    differing: Annotated[
        bool,
        Flag(
            help="also write revenues, earnings per share and other fields that v2 defines "
            "differently"
        ),
    ] = False
    continue_v1: Annotated[
        bool, Flag(help="write v1's own records, and v2's only for the periods that v1 lacks")
    ] = False
    dates: Annotated[
        Literal["text", "date"],
        Flag(help="with --output: dates as text, as v1's readers had them, or as dates"),
    ] = "text"
    lake: LakeFolder = None

    @property
    def names(self) -> list[str]:
        """The tickers that are named, each once."""
        return read_tickers(self.tickers, option="--ticker")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.names) == (self.output is not None):
            raise UsageError(
                "give --ticker TICKER to print records, or --output DIR for the whole lake"
            )
        return self


def export(given: ExportCommand, as_json: bool) -> int:
    """Print some tickers' records as JSON, or write the whole lake into a folder."""
    lake = Lake(existing_lake_root(given.lake))
    if given.output is not None:
        values = given.values(ExportParameters)
        return run_flow("flows.export.export", values, export_lines, as_json)
    from polygon_fundamentals.v1_view import export as view

    records = view.records(
        lake,
        given.names,
        given.statements,
        differing=given.differing,
        continue_v1=given.continue_v1,
    )
    lost = view.loss(given.statements, differing=given.differing)
    if not records:
        names = ",".join(given.names)
        raise AnswerIsNo(
            f"the lake has no records of {names}; load them with "
            f"`polygon-fundamentals historical-load --generation v2 --tickers {names}`"
        )
    answer: dict[str, object] = {"status": "OK", "count": len(records), "results": records}
    if as_json:
        answer["left_out"] = [asdict(item) for item in lost]
    else:
        print(f"note: {len(lost)} lines of v1 are left out; --json lists them", file=sys.stderr)
        print(PRESENT_VALUES, file=sys.stderr)
    print(json.dumps(answer))
    return 0
