"""The parameters of the flows around the switch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import BaseUrl, LakeFolder, Text
from polygon_fundamentals.cutover.retention import Retention

Readers = Annotated[
    str | None,
    Field(description="Another file of readers' checks"),
    Flag(metavar="FILE", unset="deployments/readers.toml"),
]
V1Side = Annotated[
    Literal["live", "retired"] | None,
    Field(description="Whether v1's endpoint still answers; without it, what the ledger says"),
    Flag(help="whether v1 still answers", unset="what the ledger says"),
]
Execute = Annotated[
    bool,
    Field(description="Off: show what would be done, and change nothing"),
    Flag(help="carry it out; without it, only the plan is printed"),
]


class ChecklistParameters(Parameters):
    """What still stands between here and the cutover."""

    lake: LakeFolder = None
    v1: V1Side = None


class VerifyParameters(Parameters):
    """Every file of the lake against what was recorded of it."""

    lake: LakeFolder = None


class CutoverParameters(Parameters):
    """v2 becomes what readers see."""

    execute: Annotated[Execute, Field(description="Off: show the plan, and change nothing")] = False
    force: Annotated[
        Text | None,
        Field(description="The reason to switch although lines of the checklist are unmet"),
        Flag(
            metavar="REASON", help="switch although lines are unmet; the reason goes to the journal"
        ),
    ] = None
    postpone_file: Annotated[
        Text | None,
        Field(description="Wait with the switch while this file exists"),
        Flag(
            metavar="FILE",
            help="wait with the switch until you remove this file; loads continue meanwhile",
        ),
    ] = None
    wait_minutes: Annotated[
        float,
        Field(ge=0, description="Minutes to wait for v1's running jobs"),
        Flag(metavar="N", help="minutes to wait for v1's running jobs"),
    ] = 30.0
    allow_gap: Annotated[
        bool,
        Field(description="Allow a moment without data where names cannot be swapped in one call"),
        Flag(
            help="allow a moment without data if the file system cannot swap two names atomically"
        ),
    ] = False
    ask_approval: Annotated[bool, Field(description="Pause until a person approves in the UI")] = (
        False
    )
    readers: Readers = None
    v1: V1Side = None
    lake: LakeFolder = None


class RollbackParameters(Parameters):
    """v1 becomes what readers see again."""

    execute: Annotated[
        Execute, Field(description="Off: say whether it is possible, and change nothing")
    ] = False
    delayed: Annotated[
        bool, Field(description="Fill v1's missed days and check parity first"), Flag()
    ] = False
    accept_parity: Annotated[
        Text | None,
        Field(description="The reason for a delayed rollback although parity fails"),
        Flag(
            metavar="REASON", help="roll back although parity fails; the reason goes to the journal"
        ),
    ] = None
    accept_stale: Annotated[
        bool, Field(description="Switch to v1 although it lacks days"), Flag()
    ] = False
    readers: Readers = None
    lake: LakeFolder = None
    base_url: BaseUrl = None


class DrillParameters(Parameters):
    """Cutover and rollback on a copy."""

    readers: Readers = None
    lake: LakeFolder = None


class CleanupParameters(Parameters):
    """v1's data into its archive."""

    execute: Execute = False
    deployments_days: Annotated[
        int,
        Field(ge=0, description="Days after the cutover until v1's deployments are retired"),
        Flag(metavar="N"),
    ] = Retention.deployments_days
    data_days: Annotated[
        int,
        Field(ge=0, description="Days after the cutover until v1's data is archived"),
        Flag(metavar="N"),
    ] = Retention.data_days
    scripts: Annotated[
        list[str] | None,
        Field(description="Scripts of v1 to put into the archive too"),
        Flag("--script", metavar="FILE"),
    ] = None
    cron_lines: Annotated[
        list[str] | None,
        Field(description="Cron lines to put into the archive too"),
        Flag("--cron-line", metavar="TEXT"),
    ] = None
    lake: LakeFolder = None


class RestoreParameters(Parameters):
    """v1's data back from its archive, or its files as another tool wrote them."""

    execute: Execute = False
    adopted: Annotated[
        bool,
        Field(description="Put v1's files back as another tool wrote them"),
        Flag(help="put back v1's files as another tool wrote them, before our loads"),
    ] = False
    archive: Annotated[
        str | None,
        Field(description="The archive's file name; without it, the newest"),
        Flag(metavar="NAME", help="a file in archive/", unset="the newest"),
    ] = None
    lake: LakeFolder = None
