"""The parameters of the flows that read the lake: parity, silver, export and status."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import (
    TICKERS_FLAG,
    WHICH,
    BaseUrl,
    Day,
    LakeFolder,
    Named,
    Statements,
    Tickers,
    TickersFile,
    Witness,
)
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.statements import ALL_STATEMENTS


class ParityParameters(Parameters, Named):
    """A comparison of v1 and v2 in the lake."""

    tickers: Annotated[Tickers, replace(TICKERS_FLAG, unset="all of v1's")] = None
    tickers_file: TickersFile = None
    sample: Annotated[
        int | None,
        Field(ge=1, description="Compare only this many tickers"),
        Flag(metavar="N", unset="all", group=WHICH),
    ] = None
    seed: Annotated[
        int,
        Field(description="With a sample: another number chooses other tickers"),
        Flag(metavar="N", help="with --sample: choose another sample", group=WHICH),
    ] = 0
    day: Annotated[
        Day,
        Field(description="Compare as if this were today; such a run decides nothing"),
        Flag(
            "--date",
            metavar="DAY",
            help="compare as if today were this day; such a run decides nothing",
            unset="today in New York",
        ),
    ] = None
    witness: Witness = None
    accepted: Annotated[
        str | None,
        Field(description="A file of accepted differences, at a path that the worker can read"),
        Flag(
            metavar="FILE",
            help="accepted differences, as `accept --accepted FILE` writes them",
            unset="expectations/accepted.yaml",
        ),
    ] = None
    lake: LakeFolder = None
    base_url: BaseUrl = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.names and self.sample is not None:
            raise UsageError("give --tickers or --sample, not both")
        return self

    @property
    def recorded(self) -> dict[str, object]:
        """The parameters as the ledger has them."""
        asked: dict[str, object] = {"witness": self.witness} if self.witness else {}
        if self.day is not None:
            asked["date"] = self.day.isoformat()
        if self.accepted is not None:
            asked["accepted"] = self.accepted
        return {"tickers": self.names, "sample": self.sample, "seed": self.seed, **asked}


class SilverParameters(Parameters):
    """A build of the silver table."""

    as_of: Annotated[
        Day,
        Field(description="Build the table as it could have been known at the end of this day"),
        Flag(
            metavar="DAY",
            help="the table as it could have been known at the end of that day, which must be over",
        ),
    ] = None
    adopt_path: Annotated[
        bool,
        Field(description="Move another tool's folder at the table's path aside"),
        Flag(
            help="first rename the folder of another tool that is in the way of the table to "
            "fundamentals_wide_before"
        ),
    ] = False
    give_path_back: Annotated[
        bool,
        Field(description="Put such a folder back at the table's path, and build nothing"),
        Flag(help="undo --adopt-path: put that folder back, and build nothing"),
    ] = False
    lake: LakeFolder = None

    @model_validator(mode="after")
    def _check_path(self) -> Self:
        if self.adopt_path + self.give_path_back + (self.as_of is not None) > 1:
            raise UsageError("give one of --as-of, --adopt-path and --give-path-back")
        return self


class PublishParameters(Parameters):
    """Tables for readers elsewhere."""

    to: Annotated[
        str | None,
        Field(description="A folder, s3://, gs:// or az://; without it, QUANTLAKE_PUBLISH_URL"),
        Flag(metavar="URL", help="a folder, s3://, gs:// or az://", unset="QUANTLAKE_PUBLISH_URL"),
    ] = None
    bronze: Annotated[
        bool,
        Field(description="Publish bronze's current records of the primary generation too"),
        Flag(help="also publish bronze's current records of the primary generation"),
    ] = False
    keep_days: Annotated[
        int,
        Field(ge=1, le=3650, description="Days for which old versions can be read"),
        Flag(metavar="N"),
    ] = 30
    credentials_block: Annotated[
        str | None,
        Field(description="A Secret block with the store's options; without it, the environment"),
        Flag(
            metavar="NAME",
            help="a Secret block with the store's options",
            unset="the environment",
        ),
    ] = None
    take_over: Annotated[
        bool,
        Field(
            description="Replace all rows of a table that somebody else wrote, whose files stay; "
            "begin one anew that is gone from where it was published"
        ),
        Flag(),
    ] = False
    lake: LakeFolder = None


class ExportParameters(Parameters):
    """The whole lake in v1's form."""

    output: Annotated[str, Field(description="A new folder, in the layout of bronze/fundamentals")]
    statements: Statements = ALL_STATEMENTS
    differing: Annotated[
        bool, Field(description="Also write the fields that v2 defines differently")
    ] = False
    continue_v1: Annotated[
        bool, Field(description="Write v1's own records as they are, and v2's only where v1 ends")
    ] = False
    dates: Annotated[
        Literal["text", "date"],
        Field(description="How to write dates: as text, as v1 did, or as dates"),
    ] = "text"
    lake: LakeFolder = None


class StatusParameters(Parameters):
    """Both pipelines side by side."""

    lake: LakeFolder = None
