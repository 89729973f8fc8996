"""Readers' checks: commands that the user lists, each printing JSON, compared before and after."""

from __future__ import annotations

import json
import math
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from polygon_fundamentals.errors import AnswerIsNo, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.settings import environment_with

SHOWN = 3


class Check(BaseModel):
    """One reader's check.

    `command` may hold `{bronze}`, `{silver}` and `{lake}`. `tolerance` is relative, for
    numbers; values under the keys in `may_differ` are not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    command: tuple[str, ...] = Field(min_length=1)
    tolerance: float = Field(default=0.0, ge=0.0, le=1.0)
    may_differ: tuple[str, ...] = ()
    timeout: float = Field(default=120.0, gt=0.0)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    check: tuple[Check, ...] = ()


def load_checks(path: Path | None) -> tuple[Check, ...]:
    """Return the checks of a TOML file; none where there is no such file.

    Raises:
        UsageError: the file is no TOML, or says something that is not known.
    """
    if path is None or not path.exists():
        return ()
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).check
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise UsageError(f"{path}: {reason}; correct the file, then run again") from error


def answers(checks: Sequence[Check], lake: Lake, bronze: Path, silver: Path) -> dict[str, Any]:
    """Run the checks on two folders; return name → what each printed.

    Raises:
        AnswerIsNo: one failed, took too long, or printed no JSON; it is named.
    """
    return {check.name: _ask(check, lake, bronze, silver) for check in checks}


def _ask(check: Check, lake: Lake, bronze: Path, silver: Path) -> Any:
    places = {"bronze": str(bronze), "silver": str(silver), "lake": str(lake.root)}
    command = [_filled(part, places) for part in check.command]
    try:
        completed = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",  # a reader may print in another encoding; what it says still counts
            timeout=check.timeout,
            check=False,
            env=environment_with({f"FUNDAMENTALS_{k.upper()}": v for k, v in places.items()}),
        )
    except FileNotFoundError as error:
        raise UsageError(f"check {check.name!r}: {command[0]} is not there") from error
    except subprocess.TimeoutExpired as error:
        raise AnswerIsNo(
            f"check {check.name!r} took over {check.timeout:g} s; raise its timeout or mend it"
        ) from error
    if completed.returncode:
        last = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        raise AnswerIsNo(f"check {check.name!r} ended with {completed.returncode}: {last[:200]}")
    try:
        return json.loads(completed.stdout)
    except json.JSONDecodeError as error:
        raise AnswerIsNo(
            f"check {check.name!r} printed no JSON; see deployments/readers.toml"
        ) from (error)


def _filled(part: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        part = part.replace("{" + name + "}", value)
    return part


def differences(
    checks: Sequence[Check], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[str]:
    """Return what differs between two rounds of answers, a line a value; empty: all the same."""
    lines: list[str] = []
    for check in checks:
        if check.name not in before:
            continue
        differing = _differ(before[check.name], after[check.name], check, "")
        lines += [f"{check.name}{place}: {old!r} became {new!r}" for place, old, new in differing]
    return lines


def _differ(old: Any, new: Any, check: Check, place: str) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [k for k in dict.fromkeys((*old, *new)) if k not in check.may_differ]
        return [
            item
            for key in keys
            for item in _differ(old.get(key), new.get(key), check, f"{place}.{key}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            item
            for i, (a, b) in enumerate(zip(old, new, strict=True))
            for item in _differ(a, b, check, f"{place}[{i}]")
        ]
    if _number(old) and _number(new):
        return [] if math.isclose(old, new, rel_tol=check.tolerance) else [(place, old, new)]
    return [] if old == new else [(place, old, new)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def refuse_differences(
    checks: Sequence[Check], before: Mapping[str, Any], after: Mapping[str, Any], where: str
) -> str:
    """Return in words that all answers are the same.

    Raises:
        AnswerIsNo: some are not; the first of them are named.
    """
    lines = differences(checks, before, after)
    if lines:
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise AnswerIsNo(
            f"readers' answers differ on {where}: {'; '.join(lines[:SHOWN])}{more}; find out "
            "why, or let them differ in deployments/readers.toml"
        )
    return f"{len(checks)} readers' checks, the same answers" if checks else "no readers' checks"
