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
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from polygon_fundamentals.cutover import silver_side
from polygon_fundamentals.cutover.checksums import checksums, walk
from polygon_fundamentals.cutover.context import Around, Options
from polygon_fundamentals.cutover.operations import Judged, cutover, rollback
from polygon_fundamentals.cutover.schedules import NoSchedules
from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation

Report = dict[str, Any]
# Read, never written, by what a switch does; the rest of ops/ belongs to the real lake.
_OPS = ("index", "revisions", "cache", "adopted", "kept")
_FICLONE = 0x40049409  # linux/fs.h


def drill(lake: Lake, around: Around, today: date, wait_seconds: float = 60.0) -> Report:
    """Carry out a drill; return its report. Writes only under `ops/drill/`, and removes that.

    Raises:
        LakeLockedError: another drill goes on, or a load.
        LakeError: the lake cannot be linked, or the copy cannot be made.
    """
    with exclusive(lake.lock("drill"), 0, "the drill"):
        return _drilled(lake, around, today, wait_seconds)


def _drilled(lake: Lake, around: Around, today: date, wait_seconds: float) -> Report:
    started = time.monotonic()
    where = lake.ops / "drill" / uuid.uuid4().hex[:12]
    # What a killed drill left: its links hold files that the lake has given up.
    shutil.rmtree(where.parent, ignore_errors=True)
    try:
        with exclusive(lake.lock("writers"), wait_seconds, "the lake (a load)"):
            copy = linked_copy(lake, where)
            before = _Seen.of(lake, around.point)
        copied = time.monotonic() - started
        report = _carried_out(copy, around, today)
        changed = before.changed(lake)
    finally:
        shutil.rmtree(where.parent, ignore_errors=True)
    report["copy_seconds"] = round(copied, 3)
    report["files_compared"] = len(before.sums)
    report["untouched"] = not changed
    report["changed"] = changed[:20]
    report["passed"] = report["passed"] and not changed
    report["exit_code"] = 0 if report["passed"] else 1
    if changed:
        report["message"] = (
            f"{len(changed)} files of the real lake changed during the drill ({changed[0]}); "
            "run it again while nothing loads"
        )
    return report


class _Seen:
    """The data of the real lake as it was: checksums, and which file each was."""

    def __init__(self, sums: dict[str, str]) -> None:
        self.sums = sums

    @classmethod
    def of(cls, lake: Lake, point: Callable[[str], None]) -> _Seen:
        point("copy made")
        return cls(_sums(lake))

    def changed(self, lake: Lake) -> list[str]:
        """Return what is new, gone or different now."""
        found = _sums(lake)
        return sorted(
            name
            for name in self.sums.keys() | found.keys()
            if self.sums.get(name) != found.get(name)
        )


def _sums(lake: Lake) -> dict[str, str]:
    found = {}
    for part in (lake.bronze, lake.silver, lake.ops / "revisions"):
        for name, digest in checksums(part).items():
            if not name.startswith((".staging", ".probe")):
                found[f"{part.name}/{name}"] = digest
    return found


def _carried_out(copy: Lake, around: Around, today: date) -> Report:
    here = replace(around, schedules=NoSchedules())
    options = Options(force="drill", settle_seconds=0.0, wait_seconds=5.0)
    first = leads_to(copy)
    data = {generation: _folder_sums(copy, generation) for generation in Generation}

    def over() -> Report:
        return cutover(copy, lambda: Judged(()), here, options)

    def back() -> Report:
        return rollback(copy, here, options, [], today, accept_stale=True)

    order: Sequence[tuple[str, Callable[[], Report], Generation]] = (
        ("cutover", over, Generation.V2),
        ("rollback", back, Generation.V1),
    )
    if first is Generation.V2:
        order = order[::-1]
    elif first is None:
        order = order[:1]
    steps: list[Report] = []
    seconds: dict[str, float] = {}
    facts: Report = {"schema_same": None, "answers_differ": [], "message": ""}
    passed = True
    for name, run, target in order:
        began = time.monotonic()
        found = run()
        seconds[name] = round(time.monotonic() - began, 3)
        seconds[f"{name}_switch"] = found["switch_seconds"]
        steps += [{**step, "name": f"{name}: {step['name']}"} for step in found["steps"]]
        _learn(facts, found)
        good = found["exit_code"] == 0 and leads_to(copy) is target and _whole(copy, data)
        passed = passed and good
        if not good:
            facts["message"] = found["message"]
            break
    return {
        "passed": passed and not facts["answers_differ"],
        "steps": steps,
        "seconds_by_part": seconds,
        "checks": len(around.checks),
        **facts,
        "message": facts["message"]
        or f"drill passed: cutover {seconds['cutover']:.1f} s, "
        + (f"rollback {seconds['rollback']:.1f} s" if first else "there is no v1 to roll back to"),
    }


def _learn(facts: Report, found: Report) -> None:
    for name in ("schema_same", "answers_differ"):
        value = found.get("facts", {}).get(name)
        if value is not None:
            both = name == "schema_same" and facts[name] is not None
            facts[name] = (facts[name] and value) if both else value
    if found["exit_code"] and not facts["answers_differ"]:
        facts["answers_differ"] = [
            s["detail"] for s in found["steps"] if not s["ok"] and "readers' answers" in s["detail"]
        ]


def _folder_sums(copy: Lake, generation: Generation) -> dict[str, str]:
    return checksums(copy.generation_folder(generation))


def _whole(copy: Lake, data: dict[Generation, dict[str, str]]) -> bool:
    """Say whether both generations' data in the copy is what it was, and silver leads on."""
    silver_side.present(copy)
    return all(_folder_sums(copy, generation) == sums for generation, sums in data.items())


def linked_copy(lake: Lake, where: Path) -> Lake:
    """Make a copy of the lake whose files are links to the real ones; return it.

    Raises:
        LakeError: the file system has neither hard links nor copy-on-write.
    """
    copy = Lake(where)
    parts = [(lake.bronze, copy.bronze), (lake.silver, copy.silver)]
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
        if path.is_symlink():
            # An absolute link would lead out of the copy, into the real lake.
            aim = os.readlink(path)
            to.symlink_to(os.path.relpath(aim, path.parent) if os.path.isabs(aim) else aim)
        else:
            _link(path, to)


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        try:
            with path.open("rb") as source, to.open("wb") as target:
                fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
            shutil.copystat(path, to)
        except OSError:
            to.unlink(missing_ok=True)
            raise LakeError(
                f"{path.parent} knows neither hard links nor copy-on-write, so a drill would "
                "copy every byte; copy the lake yourself and drill on the copy with --lake"
            ) from error
