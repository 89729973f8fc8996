"""The cases of the rules other than budgets: of those that hold, and of those that are broken.

A result of Great Expectations lists the first cases alone, and those of a rule that was relaxed
hide what it would have told. So each rule that has cases is asked once more for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from expectations.outcome import Outcome, RuleResult
from expectations.plugin import rules
from expectations.plugin.base import NONE, ParityRule, texts_of
from expectations.plugin.values import ExpectFindingToStayWithinItsBudget
from polygon_fundamentals.lake.storage.local import replacing
from polygon_fundamentals.parity.report import for_spreadsheets

SHOWN = 50
FILE = "cases.csv"
# The review page has a table of its own for what these count.
_SHOWN_ELSEWHERE = (ExpectFindingToStayWithinItsBudget, rules.ExpectEveryV1TickerToBeInV2)
_COLUMNS = ("rule", "detail", "statement", "ticker", "cik", "case", "facts")
_ROWS_AT_A_TIME = 10_000
# In a column of their own, or no part of the case: a company may change its name.
_APART = ("ticker", "company_name", "cik")


@dataclass(frozen=True)
class RuleCases:
    """A rule, and all of its cases; `files` of the report list them."""

    rule: RuleResult
    kind: ParityRule
    rows: pd.DataFrame

    @property
    def head(self) -> list[str]:
        """The names of the columns, as they are read."""
        return [name.replace("_", " ") for name in self.rows.columns]

    @property
    def shown(self) -> list[list[str]]:
        """The first cases as texts."""
        cases = texts_of(self.rows.head(SHOWN), self.kind.shown)
        return [list(case.values()) for case in cases]

    @property
    def files(self) -> str:
        """Where the report has all of them."""
        return "missing_periods.csv and extra_periods.csv" if self._are_periods else FILE

    @property
    def _are_periods(self) -> bool:
        return isinstance(self.kind, rules.ExpectEveryV1PeriodToBeInV2)

    def lines(self) -> Iterator[list[dict[str, str]]]:
        """Yield the lines of `cases.csv`, some at a time."""
        for start in range(0, 0 if self._are_periods else len(self.rows), _ROWS_AT_A_TIME):
            some = self.rows.iloc[start : start + _ROWS_AT_A_TIME]
            yield [self._line(case) for case in texts_of(some, self.kind.shown)]

    def _line(self, case: dict[str, str]) -> dict[str, str]:
        varying = {n: t for n, t in case.items() if n in self.kind.varying}
        fixed = {n: t for n, t in case.items() if n not in (*self.kind.varying, *_APART)}
        rule = {"rule": self.rule.title, "detail": self.rule.detail, "statement": self.rule.where}
        return {
            **rule,
            "ticker": case.get("ticker", ""),
            "cik": case.get("cik", "").strip(NONE),
            "case": _in_words(fixed),
            "facts": _in_words(varying),
        }


def _in_words(case: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in case.items())


def cases_of(outcome: Outcome, frames: Path) -> list[RuleCases]:
    """Return the rules that have cases, those that are broken first."""
    with_cases, frame = list[RuleCases](), ("", pd.DataFrame())
    for rule in outcome.rules:
        kind = rule.config.to_domain_obj() if rule.config else None
        if rule.error or not isinstance(kind, ParityRule) or isinstance(kind, _SHOWN_ELSEWHERE):
            continue
        if rule.broken or isinstance(kind, rules.ExpectEveryV1PeriodToBeInV2):
            if frame[0] != rule.suite:
                frame = rule.suite, pd.read_parquet(frames / f"{rule.suite}.parquet")
            rows = kind.cases(frame[1])
            if len(rows):
                with_cases.append(RuleCases(rule, kind, rows.reset_index(drop=True)))
    return sorted(with_cases, key=lambda one: one.rule.passed)


def write_cases(path: Path, every: Sequence[RuleCases]) -> None:
    """Write every case: its rule, ticker and CIK, what tells it from others, and its facts."""
    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    options = pa_csv.WriteOptions(quoting_style="needed")
    with replacing(path) as beside, pa_csv.CSVWriter(beside, schema, write_options=options) as file:
        for one in every:
            for lines in one.lines():
                file.write_table(for_spreadsheets(pa.Table.from_pylist(lines, schema=schema)))
