"""A copy of a lake in which days pass without being waited for, to rehearse a migration on.

No clock is set. What the copy's ledger and journals say happened is moved back by some days, so
that what is run on it today and tomorrow's runs stand on business days in a row. Only a copy that
was made for it has the mark that this asks for, and the mark holds the copy's own path.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson

from polygon_fundamentals import ledger
from polygon_fundamentals.business_days import NEW_YORK, day_of, previous_business_day
from polygon_fundamentals.cutover import journal as journals
from polygon_fundamentals.cutover.runner import OperationReport, StepResult
from polygon_fundamentals.errors import DamagedFileError, LakeError, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive

LOCK_SECONDS = 60.0
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# A window of filing dates, and the day on which v1 was first found gone.
_DAYS = ("from", "to", "frozen_since")
_STAMP = "%Y%m%dT%H%M%S%f"
Ageing = Callable[[datetime], int]


@dataclass(frozen=True)
class Rehearsal:
    """What a copy says of itself: of which lake, where and when it was made, what has passed."""

    copy_of: str
    copy: str
    began: datetime
    days_passed: int = 0


def mark_file(lake: Lake) -> Path:
    """Return the file that marks a copy and holds its metadata."""
    return lake.ops / "rehearsal.json"


def rehearsal_of(lake: Lake) -> Rehearsal | None:
    """Return the metadata of a rehearsal copy, or None for a lake that is no copy.

    Raises:
        DamagedFileError: the mark cannot be read.
    """
    try:
        return msgspec.json.decode(mark_file(lake).read_bytes(), type=Rehearsal)
    except FileNotFoundError:
        return None
    except (ValueError, msgspec.MsgspecError) as error:
        raise DamagedFileError(
            f"{mark_file(lake)} cannot be read ({error}); it marks a copy to rehearse on: remove "
            "the copy, and make another with `polygon-fundamentals rehearse --copy DIR`"
        ) from error


def make_copy(lake: Lake, target: Path) -> OperationReport:
    """Copy a lake to rehearse on; the lake is only read.

    Bytes are copied and no links made: an old job may write into a file of the copy. What the lake
    keeps elsewhere and reaches by a link is copied into its place. What the copy publishes is not
    the lake's.

    Raises:
        UsageError: the folder is not empty, lies in the lake, or has too little room.
        LakeLockedError: a load is running.
    """
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty; name another folder with --copy")
    if target.is_relative_to(lake.root):
        raise UsageError(f"{target} lies in the lake; name a folder outside of it with --copy")
    needed = _size(lake.root)
    target.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target).free
    if free < needed:
        raise UsageError(
            f"{target} has {free / 1e9:,.1f} GB free and the lake takes {needed / 1e9:,.1f} GB; "
            "name a folder on another disk with --copy"
        )
    # A lake that our loads have not touched has no locks of ours, and gets none by this.
    lock = exclusive(lake.lock("writers"), LOCK_SECONDS, "a load or switch of this lake")
    with lock if lake.ops.is_dir() else nullcontext():
        _copy_tree(lake.root, target)
    copy = Lake(target)
    # By it a table knows the lake that publishes it.
    shutil.rmtree(copy.ops / "publish", ignore_errors=True)
    made = Rehearsal(str(lake.root), str(target), datetime.now(UTC))
    replace_file(mark_file(copy), orjson.dumps(asdict(made), option=orjson.OPT_INDENT_2))
    words = f"{target} is a copy of {lake.root} ({needed / 1e6:,.1f} MB) to rehearse on"
    return OperationReport(words, (StepResult("copy", True, words),))


def _size(source: Path) -> int:
    """Return the bytes that `_copy_tree` will write."""
    files = source.rglob("*") if source.is_dir() else [source]
    own = sum(path.lstat().st_size for path in files if path.is_symlink() or not path.is_dir())
    return own + sum(_size(aim) for aim in _outside(source).values())


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a file or folder; what it reaches by a link elsewhere is copied into its place."""
    if not source.is_dir():
        shutil.copy2(source, target)
        return
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    outside = _outside(source)
    for link in [path for path in target.rglob("*") if path.is_symlink()]:
        aim, within = _aim(source / link.relative_to(target), source)
        if link.relative_to(target) in outside:
            link.unlink()
            _copy_tree(aim, link)
        # A link by its whole path would lead out of the copy, into the real lake.
        elif within is not None and not _aim(link, target)[0].is_relative_to(target):
            link.unlink()
            link.symlink_to(target / within)


def _outside(source: Path) -> dict[Path, Path]:
    """Return link → what it leads to, of the links in a folder that lead out of it.

    Links that lead nowhere are left out.
    """
    links = (path for path in source.rglob("*") if path.is_symlink())
    aims = {link.relative_to(source): _aim(link, source) for link in links}
    return {link: aim for link, (aim, within) in aims.items() if within is None and aim.exists()}


def _aim(link: Path, folder: Path) -> tuple[Path, Path | None]:
    """Return what a link says that it leads to, and where in the folder that is, if it is."""
    aim = Path(os.path.normpath(link.parent / os.readlink(link)))
    roots = (root for root in (folder, folder.resolve()) if aim.is_relative_to(root))
    root = next(roots, None)
    return aim, None if root is None else aim.relative_to(root)


def let_days_pass(lake: Lake, days: int | None) -> OperationReport:
    """Move what happened in a copy back by some days; None: to the business day before.

    Raises:
        UsageError: the lake is no copy that was made to rehearse on.
        LakeError: a run is going on.
    """
    made = rehearsal_of(lake)
    if made is None or Path(made.copy) != lake.root:
        raise UsageError(
            f"{lake.root} is not a copy made for rehearsing, so no days can be skipped in it; "
            f"make a copy first: `polygon-fundamentals rehearse --lake {lake.root} --copy DIR`"
        )
    with exclusive(lake.lock("writers"), LOCK_SECONDS, "a load or switch of this lake"):
        ledger.close_crashed(lake)
        if any(entry.is_running for entry in ledger.read_entries(lake)[0]):
            raise LakeError(f"another run uses {lake.root}; wait until it has ended")

        def ageing(moment: datetime) -> int:
            return days if days is not None else _to_business_day_before(moment, made.began)

        count = _age_folder(ledger.runs_folder(lake), ageing)
        count += _age_folder(journals.folder(lake), ageing)
        passed = ageing(datetime.now(UTC))
        for path in (journals.folder(lake) / "sign_offs").glob("*.json"):
            _write_aged(path, path, passed)
        aged = Rehearsal(
            made.copy_of,
            made.copy,
            _aged(made.began, ageing(made.began)),
            made.days_passed + passed,
        )
        replace_file(mark_file(lake), orjson.dumps(asdict(aged), option=orjson.OPT_INDENT_2))
    what = f"{days} days" if days is not None else "a business day"
    words = f"{what} passed: {count:,} runs and switches of the copy moved back in time"
    return OperationReport(words, (StepResult("days", True, words),))


def _to_business_day_before(moment: datetime, began: datetime) -> int:
    """Return how many days back the business day before a moment's lies.

    What happened before the copy was made moves as one, so that its order stays.
    """
    day: date = day_of(max(moment, began))
    return (day - previous_business_day(day)).days


def _age_folder(folder: Path, ageing: Ageing) -> int:
    """Age the entries of a folder, whose names begin with their moment; return how many."""
    count = 0
    for path in sorted(folder.glob("[0-9]*Z-*.json")):
        stamp, rest = path.name.split("Z-", 1)
        started = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
        days = ageing(started)
        target = path.with_name(f"{_aged(started, days):{_STAMP}}Z-{rest}")
        _write_aged(path, target, days)
        if path.with_suffix(".done").exists():
            os.replace(path.with_suffix(".done"), target.with_suffix(".done"))
        count += 1
    return count


def _write_aged(path: Path, target: Path, days: int) -> None:
    content = _aged_values(orjson.loads(path.read_bytes()), days)
    replace_file(target, orjson.dumps(content, option=orjson.OPT_INDENT_2))
    if target != path:
        path.unlink()


def _aged_values(value: Any, days: int) -> Any:
    """Return JSON with its moments, and the days of its windows, moved back."""
    if isinstance(value, dict):
        return {
            name: (date.fromisoformat(inner) - timedelta(days=days)).isoformat()
            if name in _DAYS and _is(inner, _DAY)
            else _aged_values(inner, days)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_aged_values(inner, days) for inner in value]
    if _is(value, _MOMENT):
        return _aged(datetime.fromisoformat(value), days).isoformat()
    return value


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _aged(moment: datetime, days: int) -> datetime:
    """Return the same time of day, in New York, some days earlier."""
    return (moment.astimezone(NEW_YORK) - timedelta(days=days)).astimezone(UTC)
