"""The commands of the switch: checklist, sign-off, cutover, rollback, drill, cleanup, restore."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from flows.commands.common import add_common, finish


def _execute(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--execute", action="store_true", help="carry it out (else: plan only)")


def _readers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--readers", metavar="F", help="(deployments/readers.toml)")


def _v1_side(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--v1", choices=("live", "retired"), help="whether v1 still answers (what the ledger knows)"
    )


def checklist_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `checklist`."""
    _v1_side(parser)
    parser.add_argument(
        "--record-checksums", action="store_true", help="take v1's checksums first, to be kept"
    )
    add_common(parser)


def checklist(arguments: argparse.Namespace) -> int:
    """Run `checklist`."""
    from flows.checklist import checklist_report
    from flows.runs import ended

    state = ended(
        lambda: checklist_report(arguments.lake, arguments.v1, arguments.record_checksums)
    )
    return finish(state, arguments, lines)


def sign_off_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sign-off`."""
    parser.add_argument("item", metavar="ITEM", help="what is signed, such as training")
    parser.add_argument("--by", required=True, metavar="WHO", help="a name of contacts.toml")
    add_common(parser)


def sign_off(arguments: argparse.Namespace) -> int:
    """Record a sign-off."""
    from flows.runs import ended
    from flows.switching import CONTACTS, lake_of
    from polygon_fundamentals.cutover.sign_offs import load_contacts, sign

    def body() -> dict[str, Any]:
        where = lake_of(arguments.lake)
        words = sign(where, load_contacts(CONTACTS), arguments.item, arguments.by)
        step = {"name": "sign-off", "ok": True, "detail": words}
        return {"steps": [step], "exit_code": 0, "message": words}

    return finish(ended(body), arguments, lines)


def cutover_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cutover`."""
    _execute(parser)
    parser.add_argument("--force", metavar="REASON", help="pass unmet lines; kept in the journal")
    parser.add_argument("--postpone-file", metavar="F", help="hold while this file exists")
    parser.add_argument(
        "--wait-minutes", type=float, default=30.0, metavar="N", help="for running jobs (30)"
    )
    parser.add_argument(
        "--allow-gap", action="store_true", help="where names cannot be swapped in one call"
    )
    _readers(parser)
    _v1_side(parser)
    add_common(parser)


def cutover(arguments: argparse.Namespace) -> int:
    """Run `cutover`."""
    from flows.cutover import cutover_report
    from flows.runs import ended

    state = ended(
        lambda: cutover_report(
            arguments.execute,
            arguments.force,
            arguments.postpone_file,
            arguments.wait_minutes,
            arguments.allow_gap,
            arguments.readers,
            arguments.v1,
            arguments.lake,
        )
    )
    return finish(state, arguments, lines)


def rollback_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rollback`."""
    _execute(parser)
    parser.add_argument(
        "--delayed", action="store_true", help="fill v1's missed days and check parity first"
    )
    parser.add_argument("--accept-stale", action="store_true", help="take v1 as it is")
    _readers(parser)
    add_common(parser)


def rollback(arguments: argparse.Namespace) -> int:
    """Run `rollback`."""
    from flows.rollback import rollback_report
    from flows.runs import ended

    state = ended(
        lambda: rollback_report(
            arguments.execute,
            arguments.delayed,
            arguments.accept_stale,
            arguments.readers,
            arguments.lake,
            arguments.base_url,
        )
    )
    return finish(state, arguments, lines)


def drill_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `drill`."""
    _readers(parser)
    add_common(parser)


def drill(arguments: argparse.Namespace) -> int:
    """Run `drill`."""
    from flows.drill import drill_report
    from flows.runs import ended

    state = ended(lambda: drill_report(arguments.readers, arguments.lake))
    return finish(state, arguments, lines)


def cleanup_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `cleanup`."""
    _execute(parser)
    parser.add_argument("--deployments-days", type=int, default=30, metavar="N", help="(30)")
    parser.add_argument("--data-days", type=int, default=90, metavar="N", help="(90)")
    parser.add_argument("--script", action="append", metavar="F", help="goes into the archive too")
    parser.add_argument("--cron-line", action="append", metavar="TEXT", help="as --script")
    add_common(parser)


def cleanup(arguments: argparse.Namespace) -> int:
    """Run `cleanup`."""
    from flows.cleanup import cleanup_report
    from flows.runs import ended

    state = ended(
        lambda: cleanup_report(
            arguments.execute,
            arguments.deployments_days,
            arguments.data_days,
            arguments.script,
            arguments.cron_line,
            arguments.lake,
        )
    )
    return finish(state, arguments, lines)


def restore_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `restore`."""
    _execute(parser)
    parser.add_argument("--archive", metavar="NAME", help="a file in archive/ (the newest)")
    add_common(parser)


def restore(arguments: argparse.Namespace) -> int:
    """Run `restore`."""
    from flows.cleanup import restore_report
    from flows.runs import ended

    state = ended(lambda: restore_report(arguments.execute, arguments.archive, arguments.lake))
    return finish(state, arguments, lines)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a report as lines for people."""
    for step in report["steps"]:
        yield f"{'ok ' if step['ok'] else 'NO '} {step['name']}: {step['detail']}"
        if not step["ok"] and step.get("remedy"):
            yield f"     {step['remedy']}"
    if "plan" in report:
        yield f"the steps: {', '.join(report['plan'])}"
    yield str(report["message"])
