"""The commands `checklist` and `sign-off`, and how `verify` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from flows.commands.output import finish
from flows.commands.report_lines import switch_lines
from flows.commands.run import run_here
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import LakeFolder
from flows.parameters.switch import ChecklistParameters
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.settings import existing_lake_root


class ChecklistCommand(ChecklistParameters):
    """The checklist, and v1's checksums on demand."""

    record_checksums: Annotated[bool, Flag(help="record v1's checksums first")] = False


class SignOffParameters(Parameters):
    """Who signs which item of the checklist off."""

    item: Annotated[str, Flag("ITEM", help="training, parity, cutover or rollback")]
    by: Annotated[
        str, Flag(metavar="NAME", help="a name or an address in deployments/contacts.toml")
    ]
    lake: LakeFolder = None


def checklist(given: ChecklistCommand, as_json: bool) -> int:
    if given.record_checksums:
        from polygon_fundamentals.cutover import checksums

        checksums.record(Lake(existing_lake_root(given.lake)))
    return run_here("flows.checklist.checklist", given, switch_lines, as_json)


def sign_off(given: SignOffParameters, as_json: bool) -> int:
    from flows.runs import finish_flow
    from flows.switching import CONTACTS, TRAINING
    from polygon_fundamentals.cutover.sign_offs import load_contacts, sign

    def body() -> dict[str, object]:
        lake, contacts = Lake(existing_lake_root(given.lake)), load_contacts(CONTACTS)
        signed = sign(lake, contacts, given.item, given.by, training=TRAINING)
        step = {"name": "sign-off", "ok": True, "detail": signed}
        return {"steps": [step], "exit_code": 0, "message": signed}

    return finish(finish_flow(body), switch_lines, as_json)


def verify_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a report of `verify` as lines for people, every damaged file by name."""
    *lines, message = switch_lines(report)
    yield from lines
    for problem in report.get("problems", ()):
        yield f"{problem['file']}: {problem['reason']}"
    yield message
