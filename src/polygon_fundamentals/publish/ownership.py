"""Who wrote a table's rows: what its log says, and what a checkpoint keeps where the log is gone.

Any engine may make a checkpoint and then remove the commits before it that are older than the
retention. What our commits say of themselves goes with them. A checkpoint keeps the transactions of
applications: ours is named for the lake, and its version is that of our newest commit of rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pa_fs
from deltalake import DeltaTable, Transaction
from deltalake.fs import DeltaStorageHandler

from polygon_fundamentals.errors import PublishError
from polygon_fundamentals.publish.target import Target

KEY = "polygon_fundamentals"
# Marks the commit that replaced what others had written.
TAKEN_OVER = "taken_over"
# Operations that leave every row as it is.
_MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")


@dataclass(frozen=True)
class NewestWrite:
    """The newest commit that changed rows; `ours` is our metadata of it, None if it is another's.

    Where the log has only maintenance, `in_log` is false, and `version` is the last version that
    the log no longer has.
    """

    version: int
    ours: Mapping[str, Any] | None = None
    in_log: bool = True


@dataclass(frozen=True)
class Mark:
    """The version in which a lake last wrote rows, and whether that replaced rows of others."""

    version: int
    taken_over: bool


def newest_write(table: DeltaTable, url: str, options: Mapping[str, str]) -> NewestWrite:
    """Return the newest commit that changed rows, as the files of the log have it.

    `DeltaTable.history` passes over a commit without a `commitInfo`, which may have rows.
    """
    files = pa_fs.PyFileSystem(DeltaStorageHandler(url, dict(options)))
    for version in range(table.version(), -1, -1):
        try:
            with files.open_input_stream(f"_delta_log/{version:020}.json") as stream:
                actions = [json.loads(line) for line in stream.read().splitlines() if line.strip()]
        except FileNotFoundError:
            return NewestWrite(version, in_log=False)
        infos = [action["commitInfo"] for action in actions if "commitInfo" in action]
        info: Mapping[str, Any] = infos[0] if infos else {}
        if "partitions" in info.get(KEY, {}):
            return NewestWrite(version, info[KEY])
        if info.get("operation") not in _MAINTENANCE or any(map(_changes_rows, actions)):
            return NewestWrite(version)
    return NewestWrite(-1, in_log=False)


def _changes_rows(action: Mapping[str, Any]) -> bool:
    file = action.get("add") or action.get("remove")
    return file is not None and bool(file.get("dataChange", True))


def mark_of(table: DeltaTable, lake: str) -> Mark | None:
    """Return what a table has of a lake's commits, None if the lake never wrote rows there."""
    version, taken_over = (table.transaction_version(name) for name in _names(lake))
    return None if version is None else Mark(version, taken_over == version)


def transactions(lake: str, mark: Mark) -> list[Transaction]:
    """Return what a commit is to hold so that `mark_of` finds the mark from then on."""
    names = _names(lake) if mark.taken_over else _names(lake)[:1]
    return [Transaction(name, mark.version) for name in names]


def _names(lake: str) -> tuple[str, str]:
    return f"{KEY}.{lake}", f"{KEY}.{lake}.{TAKEN_OVER}"


def known_write(
    table: DeltaTable, newest: NewestWrite, lake: str, version_before: int | None
) -> Mapping[str, Any] | None:
    """Return the metadata of the lake's commit that all rows are of; None if they may be others'.

    It names no partition where the log no longer has the commit. `version_before` is the version of
    which the ledger says that all rows were the lake's.
    """
    if newest.in_log:
        return newest.ours if newest.ours is not None and newest.ours["lake"] == lake else None
    mark = mark_of(table, lake)
    if mark is None:
        return None
    ours_until = mark.version
    # One of a later version was another table, which stood there before.
    if version_before is not None and version_before <= table.version():
        ours_until = max(ours_until, version_before)
    if newest.version > ours_until:
        return None
    taken_over = {TAKEN_OVER: True} if mark.taken_over else {}
    return {"lake": lake, "schema": "", "partitions": {}, **taken_over}


def not_ours(url: str, newest: NewestWrite, mark: Mark | None, target: Target) -> PublishError:
    """Return why a table is not written to, with what is known of who wrote its rows."""
    take_over = f"replace all of it with `{target.command} --take-over`"
    if newest.in_log:
        known = f"{_writer(newest)} wrote its version {newest.version}"
    elif mark is None:
        known = (
            f"its log begins after version {newest.version}, and nothing in it says that this "
            "lake ever wrote there"
        )
    else:
        known = (
            f"this lake last wrote its version {mark.version}, its log begins after version "
            f"{newest.version}, and what was done in between is not known"
        )
        take_over = f"if nobody else wrote rows there, {take_over}"
    return PublishError(
        f"{url}: {known}, so nothing was written; publish to another place, or {take_over}"
    )


def _writer(newest: NewestWrite) -> str:
    return "somebody else" if newest.ours is None else "another lake"


def refuse_another_write(table: DeltaTable, url: str, target: Target, lake: str) -> None:
    """Refuse a table to which somebody else wrote meanwhile.

    The ledger notes its version, and the next publish takes all rows of that one to be the lake's.
    """
    newest = newest_write(table, url, target.options)
    if newest.ours is None or newest.ours["lake"] != lake:
        raise PublishError(
            f"{url}: {_writer(newest)} wrote its version {newest.version} while this lake was "
            "published there; find out who it was, then replace all of it with "
            f"`{target.command} --take-over`"
        )
