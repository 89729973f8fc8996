"""The commands of the switch: checklist, sign-off, cutover, rollback, drill, cleanup, restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from flows.commands.output import finish, switch_lines
from flows.commands.run import run_here
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import LakeFolder
from flows.parameters.switch import (
    ChecklistParameters,
    CleanupParameters,
    CutoverParameters,
    DrillParameters,
    RestoreParameters,
    RollbackParameters,
    VerifyParameters,
)


class ChecklistCommand(ChecklistParameters):
    """The checklist, and v1's checksums on demand."""

    record_checksums: Annotated[bool, Flag(help="take v1's checksums first, to be kept")] = False


class SignOffParameters(Parameters):
    """Who signs which item of the checklist off."""

    item: Annotated[str, Flag("ITEM", help="what is signed, such as parity")]
    by: Annotated[str, Flag(metavar="WHO", help="a name of contacts.toml")]
    lake: LakeFolder = None


def checklist(given: ChecklistCommand, as_json: bool) -> int:
    """Run `checklist`."""
    body, first = "flows.checklist.checklist_report", given.record_checksums
    return run_here(body, given, switch_lines, as_json, first)


def sign_off(given: SignOffParameters, as_json: bool) -> int:
    """Record a sign-off."""
    from flows.runs import finish_flow
    from flows.switching import CONTACTS, TRAINING, lake_of
    from polygon_fundamentals.cutover.sign_offs import load_contacts, sign

    def body() -> dict[str, object]:
        contacts = load_contacts(CONTACTS)
        signed = sign(lake_of(given.lake), contacts, given.item, given.by, training=TRAINING)
        step = {"name": "sign-off", "ok": True, "detail": signed}
        return {"steps": [step], "exit_code": 0, "message": signed}

    return finish(finish_flow(body), switch_lines, as_json)


def cutover(given: CutoverParameters, as_json: bool) -> int:
    """Run `cutover`."""
    return run_here("flows.cutover.cutover_report", given, switch_lines, as_json)


def rollback(given: RollbackParameters, as_json: bool) -> int:
    """Run `rollback`."""
    return run_here("flows.rollback.rollback_report", given, switch_lines, as_json)


def verify(given: VerifyParameters, as_json: bool) -> int:
    """Run `verify`."""
    return run_here("flows.verify.verify_report", given, verify_lines, as_json)


def verify_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a report of `verify` as lines for people, every damaged file by name."""
    *lines, message = switch_lines(report)
    yield from lines
    for problem in report.get("problems", ()):
        yield f"{problem['file']}: {problem['reason']}"
    yield message


def drill(given: DrillParameters, as_json: bool) -> int:
    """Run `drill`."""
    return run_here("flows.drill.drill_report", given, switch_lines, as_json)


def cleanup(given: CleanupParameters, as_json: bool) -> int:
    """Run `cleanup`."""
    return run_here("flows.cleanup.cleanup_report", given, switch_lines, as_json)


def restore(given: RestoreParameters, as_json: bool) -> int:
    """Run `restore`."""
    return run_here("flows.cleanup.restore_report", given, switch_lines, as_json)
