"""The drill: cutover and rollback on a copy of the lake made of links, timed.

The real lake is not touched. That is proven: the checksums of all its data are taken before
and after, and each file must still be the one that was linked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from polygon_fundamentals.cutover import companions
from polygon_fundamentals.cutover.checklist import Checklist
from polygon_fundamentals.cutover.checksums import checksums, walk
from polygon_fundamentals.cutover.context import Options, SwitchContext
from polygon_fundamentals.cutover.journal import Facts
from polygon_fundamentals.cutover.operations import cutover, refuse_without_v2, rollback
from polygon_fundamentals.cutover.reader_checks import figures_file
from polygon_fundamentals.cutover.runner import JournalReport, OperationReport
from polygon_fundamentals.cutover.schedules import NoSchedules
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.layout import missing
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.silver import links
from polygon_fundamentals.statements import Generation

# Read, never written, by what a switch does; the rest of ops/ belongs to the real lake.
_OPS = ("index", "revisions", "cache", "adopted", "kept")
_NO_LINK = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV)
_FICLONE = 0x40049409  # linux/fs.h


@dataclass(frozen=True)
class DrillReport(OperationReport):
    """How a drill went: the steps of both ways, and whether the real lake stayed as it was."""

    passed: bool = False
    seconds_by_part: dict[str, float] = field(default_factory=dict)
    checks: int = 0
    schema_same: bool | None = None
    answers_differ: tuple[str, ...] = ()
    copy_seconds: float = 0.0
    files_compared: int = 0
    untouched: bool = True
    changed: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()


def drill(
    lake: Lake, context: SwitchContext, today: date, wait_seconds: float = 60.0
) -> DrillReport:
    """Carry out a drill. Writes only under `ops/drill/`, and removes that.

    Raises:
        LakeLockedError: another drill goes on, or a load.
        LakeError: the pointer was lost or leads out of the lake, a folder of v2 is missing, or its
            files cannot be linked.
        UsageError: v2 has not been loaded yet.
    """
    leads_to(lake)
    lake.refuse_lost_pointer()
    if words := missing(lake, Generation.V2):
        raise LakeError(words)
    refuse_without_v2(lake)
    with exclusive(lake.lock("drill"), 0, "the drill"):
        started = time.monotonic()
        where = lake.ops / "drill" / uuid.uuid4().hex[:12]
        # What a killed drill left: its links hold files that the lake has given up.
        shutil.rmtree(where.parent, ignore_errors=True)
        try:
            with exclusive(lake.lock("writers"), wait_seconds, "the lake (a load)"):
                copy = linked_copy(lake, where)
                context.on_reached("copy made")
            # Loads go on meanwhile: what they change shows as changed.
            before = _sums(lake)
            copied = time.monotonic() - started
            report = _over_and_back(copy, context, today)
            if figures_file(copy).is_file():
                replace_file(figures_file(lake), figures_file(copy).read_bytes())
            after = _sums(lake)
        finally:
            shutil.rmtree(where.parent, ignore_errors=True)
    changed = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    passed, message = report.passed and not changed, report.message
    if changed:
        message = (
            f"{len(changed)} files of the real lake changed during the drill ({changed[0]}); "
            "run it again while nothing loads"
        )
    return replace(
        report,
        message=message,
        exit_code=0 if passed else 1,
        passed=passed,
        copy_seconds=round(copied, 3),
        files_compared=len(before),
        companions=companions.shown(lake),
        untouched=not changed,
        changed=tuple(changed[:20]),
    )


def _sums(lake: Lake) -> dict[str, str]:
    """Return the checksums of a lake's data, by path."""
    return {
        f"{part.name}/{name}": digest
        for part in (lake.bronze, *_elsewhere(lake), lake.silver, lake.ops / "revisions")
        for name, digest in checksums(part).items()
        if not name.startswith((".staging", ".probe"))
    }


def _elsewhere(lake: Lake) -> list[Path]:
    """Return the generations' folders that are links, as to another disk."""
    folders = (lake.bronze / name for name in (V1_ARCHIVE, V2_FOLDER))
    return [folder for folder in folders if folder.is_symlink() and folder.is_dir()]


def _over_and_back(copy: Lake, context: SwitchContext, today: date) -> DrillReport:
    here = replace(context, schedules=NoSchedules("a drill leaves the schedules alone"))
    options = Options(force="drill", settle_seconds=0.0, wait_seconds=5.0)
    first = leads_to(copy)
    data = {generation: _folder_sums(copy, generation) for generation in Generation}

    def over() -> JournalReport:
        return cutover(copy, Checklist, here, options)

    def back() -> JournalReport:
        return rollback(copy, here, options, [], today, accept_stale=True)

    order: Sequence[tuple[str, Callable[[], JournalReport], Generation]] = (
        ("cutover", over, Generation.V2),
        ("rollback", back, Generation.V1),
    )
    if first is Generation.V2:
        order = order[::-1]
    elif first is None:
        order = order[:1]
    report = DrillReport("", passed=True)
    seconds: dict[str, float] = {}
    for name, run, target in order:
        began = time.monotonic()
        part = run()
        seconds[name] = round(time.monotonic() - began, 3)
        seconds[f"{name}_switch"] = part.switch_seconds or 0.0
        report = _with_part(report, name, part)
        if part.exit_code or leads_to(copy) is not target or not _is_whole(copy, data):
            return replace(
                report, passed=False, message=part.message, exit_code=1, seconds_by_part=seconds
            )
    words = f"drill passed: cutover {seconds['cutover']:.1f} s, "
    words += f"rollback {seconds['rollback']:.1f} s" if first else "there is no v1 to roll back to"
    if report.answers_differ:
        words = "the drill did not pass: answers to the readers' checks differ"
    return replace(report, passed=not report.answers_differ, message=words, seconds_by_part=seconds)


def _with_part(report: DrillReport, name: str, part: JournalReport) -> DrillReport:
    """Return a report with what one way of the drill adds to it."""
    facts = part.facts or Facts()
    same, differ = report.schema_same, report.answers_differ
    if (noted := facts.get("schema_same")) is not None:
        same = noted if same is None else same and noted
    if (lines := facts.get("answers_differ")) is not None:
        differ = tuple(lines)
    if part.exit_code and not differ:
        differ = tuple(s.detail for s in part.steps if not s.ok and "readers' answers" in s.detail)
    steps = (replace(step, name=f"{name}: {step.name}") for step in part.steps)
    return replace(
        report,
        steps=(*report.steps, *steps),
        schema_same=same,
        answers_differ=differ,
        checks=max(report.checks, facts.get("checks_compared", 0)),
    )


def _folder_sums(copy: Lake, generation: Generation) -> dict[str, str]:
    """Return the checksums of a generation's folder, but for links to the other's companions."""
    sums = checksums(copy.generation_folder(generation))
    links = tuple(f"-> ../{name}/" for name in (V1_ARCHIVE, V2_FOLDER))
    return {name: digest for name, digest in sums.items() if not digest.startswith(links)}


def _is_whole(copy: Lake, data: dict[Generation, dict[str, str]]) -> bool:
    """Return whether both generations' data in the copy is what it was, and silver leads on."""
    links.linked_build(copy)
    return all(_folder_sums(copy, generation) == sums for generation, sums in data.items())


def linked_copy(lake: Lake, where: Path) -> Lake:
    """Make a copy of the lake whose files are links to the real ones; return it.

    Raises:
        LakeError: the file system has neither hard links nor copy-on-write.
    """
    copy = Lake(where)
    parts = [(folder, copy.bronze / folder.name) for folder in _elsewhere(lake)]
    parts += [(lake.bronze, copy.bronze), (lake.silver, copy.silver)]
    parts += [(lake.ops / name, copy.ops / name) for name in _OPS]
    for source, target in parts:
        _link_tree(source, target)
    return copy


def _link_tree(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    made = {target}
    for path in walk(source):
        inside = path.relative_to(source)
        if inside.parts[0].startswith((".staging", ".probe")):
            continue
        to = target / inside
        if to.parent not in made:
            to.parent.mkdir(parents=True, exist_ok=True)
            made.add(to.parent)
        if path.is_symlink() and to.is_dir():
            continue  # a generation's folder on another disk: its files have been linked
        if path.is_symlink():
            to.symlink_to(_aim_in_copy(path, source))
        else:
            _link(path, to)


def _aim_in_copy(link: Path, source: Path) -> str:
    """Return where a link leads in the copy: within it, if it leads to what is copied.

    One to another disk leads there from the copy, too: a drill reads what is behind it.
    """
    if aim := companions.our_aim(link):
        return aim
    aim = os.readlink(link)
    folder, name = os.path.split(link.parent.resolve() / aim)
    place = Path(os.path.realpath(folder)) / name
    there, beside = source.resolve(), source.parent.resolve()
    for root, base in ((there, there), (beside, beside / source.name)):
        if place.is_relative_to(root):
            start = base / link.parent.relative_to(source)
            return os.path.relpath(place, start) if os.path.isabs(aim) else aim
    return str(place)


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        try:
            with path.open("rb") as source, to.open("wb") as target:
                fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
            shutil.copystat(path, to)
        except OSError:
            to.unlink(missing_ok=True)
            if error.errno == errno.EPERM and path.stat().st_uid != os.geteuid():
                raise LakeError(
                    f"{path} belongs to another user, and the system lets only its owner, or who "
                    f"may write it, link it; `chmod -R g+w {path.parent}` or `chown` as that user, "
                    "then run again"
                ) from error
            if error.errno == errno.EXDEV:
                # On another disk than ops/. A drill replaces files, and writes into none.
                to.symlink_to(path.resolve())
                return
            raise LakeError(
                f"the file system of {path.parent} supports neither hard links nor copy-on-write, "
                "and a drill would copy every byte; copy the lake yourself, and run the drill on "
                "the copy with --lake"
            ) from error
