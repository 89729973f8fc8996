"""Cleanup: retire v1's deployments, archive its data, and only then remove it. And restore."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from polygon_fundamentals.business_days import day_of
from polygon_fundamentals.cutover import archive_file, checksums, companions
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.archive_steps import Cleanup
from polygon_fundamentals.cutover.context import SwitchContext
from polygon_fundamentals.cutover.journal import CLEANUP, CUTOVER, RESTORE, Facts, Journal
from polygon_fundamentals.cutover.originals import size_of_originals
from polygon_fundamentals.cutover.restore_steps import Restore
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.cutover.runner import JournalReport, run_steps
from polygon_fundamentals.errors import AnswerIsNo, LakeError, UsageError
from polygon_fundamentals.lake.archived_rows import archived_since
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.lake.paths import V1_ARCHIVE, Lake
from polygon_fundamentals.lake.pointer import holds_data, leads_to
from polygon_fundamentals.lake.recovery import clear_leftovers
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.statements import Generation


def refuse_cleanup(lake: Lake, retention: Retention, at: datetime) -> bool:
    """Return whether the data goes too: it is there, and its days have passed.

    Raises:
        AnswerIsNo: the pointer leads to v1, or the days have not passed.
        LakeError: as `check_layout`; there is no journal of the cutover to count the days from, an
            archive of this day already, or something in v1's folder that an archive cannot give
            back.
        UsageError: a script that is to be archived is not there.
    """
    lake.refuse_lost_pointer()
    check_layout(lake)
    if leads_to(lake) is not Generation.V2:
        raise AnswerIsNo(f"{lake.pointer} leads to v1, which readers still use; cut over first")
    done = journals.last_done(lake, CUTOVER)
    if done is None:
        raise LakeError(
            f"{journals.folder(lake)} holds no journal of a cutover, so its days cannot be "
            "counted; nothing was removed"
        )
    age = (at - journals.moment(done)) / timedelta(days=1)
    if age < retention.deployments_days:
        raise AnswerIsNo(
            f"the cutover was {age:.1f} days ago; v1's deployments are retired after "
            f"{retention.deployments_days} days, and its data is archived after "
            f"{retention.data_days}"
        )
    if archived_since(lake) is not None and holds_data(lake.bronze / V1_ARCHIVE):
        raise LakeError(
            f"v1 was archived before, and {lake.bronze / V1_ARCHIVE} holds only what was loaded "
            "since; join the two with `polygon-fundamentals restore --execute`, then run again"
        )
    for script in retention.scripts:
        if not script.is_file():
            raise UsageError(f"--script {script} is not a file; correct the path or leave it out")
    data = age >= retention.data_days and holds_data(lake.bronze / V1_ARCHIVE)
    if data:
        archive_file.refuse_unarchivable(lake.bronze / V1_ARCHIVE)
        companions.refuse_unmovable(lake)
    if data and (tar := lake.root / "archive" / _archive_of(at)).exists():
        raise LakeError(f"{tar} is there already; move it away, then run again")
    return data


def _archive_of(at: datetime) -> str:
    return f"fundamentals_v1_{day_of(at):%Y%m%d}.tar.zst"


def plan_of_cleanup(lake: Lake, retention: Retention, at: datetime) -> str:
    """Return in words what a cleanup would do; nothing is changed.

    Raises:
        AnswerIsNo, LakeError, UsageError: it would be refused.
    """
    left = journals.unfinished(lake, CLEANUP)
    if left is not None:
        _as_begun(left, retention)
        return "a cleanup was cut off; --execute continues where it stopped"
    data = refuse_cleanup(lake, retention, at)
    words = "retire v1's deployments" + (f", archive and remove {_sizes(lake)}" if data else "")
    count, size = size_of_originals(lake) if data else (0, 0)
    if count:
        words += f" with {count:,} originals of its files ({size / 1e6:,.1f} MB) in ops/adopted"
    names = companions.companions(lake.bronze / V1_ARCHIVE) if data else []
    if names:
        words += f" (left alone, at the same path: {companions.in_words(names)})"
    return f"would {words}; --execute carries it out"


def _sizes(lake: Lake) -> str:
    """Return in words how many files of v1 there are, and how large they are."""
    files, size = Counter[str](), Counter[str]()
    folder = lake.bronze / V1_ARCHIVE
    for path in checksums.own_files(folder):
        name = path.relative_to(folder).parts[0]
        files[name] += 1
        size[name] += path.lstat().st_size
    each = ", ".join(f"{name} {files[name]:,} in {size[name] / 1e6:,.1f} MB" for name in files)
    return f"v1's data: {files.total():,} files, {size.total() / 1e6:,.1f} MB ({each})"


def cleanup(lake: Lake, context: SwitchContext, retention: Retention) -> JournalReport:
    """Retire v1's deployments, and archive and remove its data when its days have passed.

    Raises:
        AnswerIsNo, LakeError, UsageError: refused; nothing was changed.
        LakeLockedError: a switch is under way.
    """
    lake.prepare()
    with exclusive(lake.lock("cutover"), 0, "the lake's switch"):
        left = _cut_off(lake, CLEANUP)
        if left is None:
            at = context.clock()
            data = refuse_cleanup(lake, retention, at)
            facts = Facts(archive=_archive_of(at), data=data)
            facts["scripts"], facts["cron"] = _additions(retention)
            left = Journal.begin(lake, CLEANUP, {}, context.clock, facts)
        work = Cleanup(lake, left, context, _as_begun(left, retention))
        return _report(left, run_steps(left, work.cleanup_steps(), context))


def _additions(retention: Retention) -> tuple[list[str], list[str]]:
    return [str(path) for path in retention.scripts], list(retention.cron)


def _as_begun(journal: Journal, retention: Retention) -> Retention:
    """Return a retention with the scripts and cron lines that the cleanup began with.

    Raises:
        UsageError: others are given now.
    """
    given = scripts, cron = _additions(retention)
    begun = journal.facts.get("scripts", scripts), journal.facts.get("cron", cron)
    if any(given) and given != begun:
        raise UsageError(
            "the interrupted cleanup continues with the scripts and cron lines that it began "
            f"with ({', '.join([*begun[0], *begun[1]]) or 'none'}); run it without "
            "--script and --cron-line"
        )
    paths = tuple(Path(name) for name in begun[0])
    return replace(retention, scripts=paths, cron=tuple(begun[1]))


def plan_of_restore(lake: Lake, name: str | None = None) -> str:
    """Return in words what a restore would do; nothing is changed.

    Raises:
        LakeError: it would be refused.
    """
    if journals.unfinished(lake, RESTORE) is not None:
        return "a restore was cut off; --execute continues where it stopped"
    words = why_no_restore(lake)
    return words or f"would bring v1 back from {_chosen(lake, name)}; --execute carries it out"


def restore(lake: Lake, context: SwitchContext, name: str | None = None) -> JournalReport:
    """Bring v1's data back from its archive, byte for byte.

    What was loaded after the cleanup is joined to it. `name` is the archive's file name; None: the
    last cleanup's.

    Raises:
        LakeError: there is no archive, or it is not clear which to take.
        LakeLockedError: a switch is under way.
    """
    lake.prepare()
    with exclusive(lake.lock("cutover"), 0, "the lake's switch"):
        left = _cut_off(lake, RESTORE)
        if left is None:
            if (words := why_no_restore(lake)) is not None:
                return JournalReport(words)
            facts = Facts(archive=_chosen(lake, name))
            left = Journal.begin(lake, RESTORE, {}, context.clock, facts)
        work = Restore(lake, left, context)
        return _report(left, run_steps(left, work.restore_steps(), context))


def why_no_restore(lake: Lake) -> str | None:
    """Return why there is nothing to restore, or None where there is.

    The kept records decide, which go with a restore: the folder may be what was loaded after.

    Raises:
        LakeError: the pointer was lost.
    """
    lake.refuse_lost_pointer()
    there = (lake.bronze / V1_ARCHIVE).exists() and archived_since(lake) is None
    if there or not lake.pointer.is_symlink():
        return f"v1's folder is in {lake.bronze} already; nothing to do"
    return None


def _chosen(lake: Lake, name: str | None) -> str:
    """Return the archive's file name; it and its manifest are there.

    Raises:
        LakeError: one of them is not.
        UsageError: the name is a path.
    """
    chosen = name or newest_archive(lake)
    if Path(chosen).name != chosen:
        raise UsageError(f"--archive {chosen} is not the name of a file in {lake.root / 'archive'}")
    tar = lake.root / "archive" / chosen
    if not tar.is_file():
        raise LakeError(f"{tar} is not there; put the archive back, then run again")
    archive_file.load_manifest(archive_file.manifest_of(tar))
    return chosen


def newest_archive(lake: Lake) -> str:
    """Return the file name of the newest archive with a manifest.

    Raises:
        LakeError: there is none, or cleanups made several without a restore between.
    """
    made: list[str] = []
    for journal in journals.journals(lake):
        if journal.state == journals.DONE and journal.operation == RESTORE:
            made = []
        elif journal.state == journals.DONE and journal.facts.get("data"):
            made.append(str(journal.facts["archive"]))
    if len(made) > 1:
        raise LakeError(
            f"v1 was archived {len(made)} times without a restore between ({', '.join(made)}): the "
            f"first holds its history, a later one only what was loaded since. Bring the first "
            f"back: `polygon-fundamentals restore --execute --archive {made[0]}`"
        )
    manifests = sorted((lake.root / "archive").glob("fundamentals_v1_*.manifest.json"))
    if not manifests:
        raise LakeError(f"{lake.root / 'archive'} holds no archive of v1; nothing to restore")
    return manifests[-1].name.removesuffix(".manifest.json") + ".tar.zst"


def _cut_off(lake: Lake, operation: str) -> Journal | None:
    clear_leftovers(lake)
    return journals.unfinished(lake, operation)


def _report(journal: Journal, report: JournalReport) -> JournalReport:
    return replace(report, archive=journal.facts.get("archive", ""))
