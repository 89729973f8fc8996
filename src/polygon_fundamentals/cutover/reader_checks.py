"""Readers' checks: commands that the user lists, each printing JSON, compared before and after."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from polygon_fundamentals.errors import AnswerIsNo, UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings import environment_with
from polygon_fundamentals.settings_file import read_toml

SHOWN = 3

# Check → the JSON that its command printed.
Answers = dict[str, Any]


class Check(BaseModel):
    """One reader's check.

    `command` may hold `{bronze}`, `{silver}`, `{lake}` and `{python}`, this interpreter.
    `tolerance` is relative, for numbers; values under the keys in `may_differ` are not compared,
    and with `only_in_both` neither are keys that one of the answers lacks; but of the keys at the
    top of the first answer at least the share `in_both_at_least` must have a figure in both. At
    least the share `at_least` of the figures that are compared must agree.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    command: tuple[str, ...] = Field(min_length=1)
    tolerance: float = Field(default=0.0, ge=0.0, le=1.0)
    may_differ: tuple[str, ...] = ()
    only_in_both: bool = False
    in_both_at_least: float = Field(default=0.5, ge=0.0, le=1.0)
    at_least: float = Field(default=1.0, gt=0.0, le=1.0)
    timeout: float = Field(default=120.0, gt=0.0)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    check: tuple[Check, ...] = ()

    @field_validator("check")
    @classmethod
    def _names_differ(cls, checks: tuple[Check, ...]) -> tuple[Check, ...]:
        """Refuse two checks with one name: answers are kept by name, so one would not be judged."""
        times = Counter(check.name for check in checks)
        if faults := [f"{name!r} is the name of {n} checks" for name, n in times.items() if n > 1]:
            raise ValueError("; ".join(faults))
        return checks


def load_checks(path: Path | None) -> tuple[Check, ...]:
    """Return the checks of a TOML file, or an empty list where the file is missing.

    Raises UsageError where the file is not as it should be.
    """
    return read_toml(path, _File).check


def answers(checks: Sequence[Check], lake: Lake, bronze: Path, silver: Path) -> Answers:
    """Run the checks on two folders; return name → what each printed.

    Raises:
        AnswerIsNo: one failed, took too long, or printed no JSON; it is named.
    """
    return {check.name: _ask(check, lake, bronze, silver) for check in checks}


def _ask(check: Check, lake: Lake, bronze: Path, silver: Path) -> Any:
    places = {"bronze": str(bronze), "silver": str(silver), "lake": str(lake.root)}
    command = [_filled(part, {**places, "python": sys.executable}) for part in check.command]
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
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "was not found" if missing else f"cannot be run ({error.strerror})"
        raise UsageError(
            f"check {check.name!r}: {command[0]} {reason}; correct its command in "
            "deployments/readers.toml"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise AnswerIsNo(
            f"check {check.name!r} took more than {check.timeout:g} s; make it faster, or raise "
            "its timeout in deployments/readers.toml"
        ) from error
    if completed.returncode:
        last = (completed.stderr.strip().splitlines() or ["no message"])[-1]
        raise AnswerIsNo(f"check {check.name!r} exited with {completed.returncode}: {last[:200]}")
    try:
        return json.loads(completed.stdout)
    except json.JSONDecodeError as error:
        raise AnswerIsNo(
            f"check {check.name!r} did not print JSON; correct its command in "
            "deployments/readers.toml"
        ) from error


def _filled(part: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        part = part.replace("{" + name + "}", value)
    return part


@dataclass(frozen=True)
class Figure:
    """One figure of a check: where in the answer it stands, and what it was and is."""

    check: str
    place: str
    before: Any
    after: Any
    agrees: bool

    def __str__(self) -> str:
        return f"{self.check}{self.place}: {self.before!r} became {self.after!r}"


def figures(
    checks: Sequence[Check], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Figure]:
    """Return every figure of two rounds of answers that is compared, of checks asked in both."""
    return [
        Figure(check.name, place, old, new, _agree(old, new, check))
        for check in checks
        if check.name in before
        for place, old, new in _pairs(before[check.name], after[check.name], check, "")
    ]


def differences(
    checks: Sequence[Check], before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[str]:
    """Return what differs in the checks that are not met, one line per figure."""
    lines = []
    for check in checks:
        compared = figures([check], before, after)
        if check.only_in_both and before.get(check.name):
            lines += _lacking(check, before[check.name], after[check.name])
        differing = [str(figure) for figure in compared if not figure.agrees]
        if len(compared) - len(differing) < check.at_least * len(compared):
            lines += differing
    return lines


def _lacking(check: Check, old: Any, new: Any) -> list[str]:
    """Return in a line that too few of the first answer's keys are in the second, if they are."""
    if not any(True for _ in _pairs(old, new, check, "")):
        return [f"{check.name}: the two answers have no figure in common"]
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return []
    asked = [key for key, value in old.items() if value != {} and key not in check.may_differ]
    in_both = sum(
        key in new and any(True for _ in _pairs(old[key], new[key], check, "")) for key in asked
    )
    if in_both >= check.in_both_at_least * len(asked):
        return []
    return [
        f"{check.name}: {in_both:,} of {len(asked):,} keys of the first answer have a figure in "
        f"the second; at least {check.in_both_at_least:.0%} must (in_both_at_least)"
    ]


def _pairs(old: Any, new: Any, check: Check, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield (place, before, after) of each figure of two answers."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            in_both = key in old and key in new
            if key not in check.may_differ and (in_both or not check.only_in_both):
                yield from _pairs(old.get(key), new.get(key), check, f"{place}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _pairs(a, b, check, f"{place}[{i}]")
    else:
        yield place, old, new


def _agree(old: Any, new: Any, check: Check) -> bool:
    if _number(old) and _number(new):
        both_missing = math.isnan(old) and math.isnan(new)  # NaN equals nothing, itself included
        return both_missing or math.isclose(old, new, rel_tol=check.tolerance)
    return bool(old == new)


def write_figures(
    lake: Lake, compared: Sequence[Figure], lines: Sequence[str], at: datetime
) -> None:
    """Write what the checks said of both generations, for the review page of parity.

    `lines` are the differences for which a check is not met.
    """
    rows = [asdict(figure) for figure in compared]
    content = {"at": at.isoformat(), "figures": rows, "met": not lines}
    replace_file(figures_file(lake), orjson.dumps(content))


def figures_file(lake: Lake) -> Path:
    """Return the file of the figures that the last drill or cutover compared."""
    return lake.ops / "cutover" / "reader_figures.json"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def refuse_differences(
    checks: Sequence[Check], before: Mapping[str, Any], after: Mapping[str, Any], where: str
) -> str:
    """Return in words that all checks are met, and what they compared.

    Raises:
        AnswerIsNo: one is not; the first figures that differ are named.
    """
    lines = differences(checks, before, after)
    if lines:
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        raise AnswerIsNo(
            f"readers' checks disagree on {where}: {'; '.join(lines[:SHOWN])}{more}; find out "
            "why, or allow the difference in deployments/readers.toml"
        )
    return agreement(checks, figures(checks, before, after))


def agreement(checks: Sequence[Check], compared: Sequence[Figure]) -> str:
    """Return in words how many figures agree, and how many of the checks, all met, compared any."""
    if not compared:
        return "no readers' check compared a figure"
    agreeing = sum(figure.agrees for figure in compared)
    return (
        f"readers' checks are met: {agreeing:,} of {len(compared):,} figures agree, compared by "
        f"{compared_checks(compared)} of {counted(len(checks), 'check')}"
    )


def compared_checks(compared: Sequence[Figure]) -> int:
    """Return the number of checks of which a figure was compared."""
    return len({figure.check for figure in compared})
