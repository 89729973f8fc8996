"""What the checkpoint decided, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from great_expectations.checkpoint.checkpoint import CheckpointResult
from great_expectations.expectations.registry import get_expectation_impl

from expectations.plugin.base import exceptions_of

EVERYWHERE = "all statements"


@dataclass(frozen=True)
class RuleResult:
    """One rule on one frame: `broken` of `of` cases; `error` says why it could not be evaluated.

    `noun` names the cases. `reason` is the rule's note on what is broken, else its first: how many
    cases are allowed, and why. `at_most` is that number, None for any number. `cases` are the first
    of them; `config` is the rule as Great Expectations keeps it, which finds all (`cases.py`).
    """

    rule: str
    title: str
    detail: str
    where: str
    suite: str
    passed: bool
    broken: int
    of: int
    cases: list[dict[str, str]]
    error: str
    reason: str = ""
    at_most: int | None = None
    config: Any = None
    noun: str = "cases"

    @property
    def verdict(self) -> str:
        """How a broken rule is broken: `broken by 2 of 345 periods of v1`."""
        if self.error:
            return "could not be evaluated"
        return f"broken by {self.broken:,} of {self.of:,} {self.noun}" if self.of > 1 else "broken"


@dataclass(frozen=True)
class Outcome:
    """The result of a checkpoint; `passed` is its `success` and nothing else."""

    passed: bool
    rules: tuple[RuleResult, ...]
    said: dict[str, object]

    @classmethod
    def of(cls, result: CheckpointResult) -> Outcome:
        """Return the outcome of the stored checkpoint, or of one that somebody added rules to."""
        validations = result.run_results.values()
        return cls(
            passed=bool(result.success),
            rules=tuple(rule_result(r, v.suite_name) for v in validations for r in v.results),
            said={v.suite_name: v.to_json_dict() for v in validations},  # type: ignore[no-untyped-call]
        )

    @property
    def broken(self) -> list[RuleResult]:
        """The rules that do not hold."""
        return [rule for rule in self.rules if not rule.passed]

    def as_json(self) -> bytes:
        """Return what Great Expectations said, by suite, as JSON."""
        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        return orjson.dumps(self.said, default=str, option=options)


def rule_result(result: Any, suite: str) -> RuleResult:
    """Read what Great Expectations says of one rule of a suite."""
    config, content = result.expectation_config, result.result or {}
    # Great Expectations keeps notes as one text or as a list.
    notes = [config.notes] if isinstance(config.notes, str) else config.notes
    kind: Any = get_expectation_impl(config.type)
    cases = content.get("partial_unexpected_index_list") or []
    return RuleResult(
        rule=kind.__name__,
        title=getattr(kind, "title", "") or kind.__name__,
        detail=kind._detail(config.kwargs) if hasattr(kind, "_detail") else "",
        where=config.kwargs.get("statement") or EVERYWHERE,
        suite=suite,
        passed=bool(result.success),
        broken=int(content.get("unexpected_count") or (not result.success)),
        of=int(content.get("element_count", 0)),
        cases=cases,
        error="; ".join(exceptions_of(result)),
        reason=_reason(list(notes or ()), cases),
        at_most=config.kwargs.get("at_most"),
        config=config,
        noun=getattr(kind, "noun", "cases"),
    )


def _reason(notes: list[str], cases: list[dict[str, str]]) -> str:
    """Return the notes on what is broken: a rule on states has one that names each state."""
    states = dict.fromkeys(case["state"] for case in cases if "state" in case)
    mine = [note for state in states for note in notes if f"'{state}'" in note]
    return " ".join(mine) or next(iter(notes), "")
