"""The base of every rule of parity: a condition on the rows of a frame, and its numbers.

A frame may hold tallies (column `count`) beside single rows, so that a percentage covers all that
was compared although equal values have no rows of their own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import pandas as pd
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render import (
    LegacyDiagnosticRendererType,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.renderer import renderer

# How many of the rows that break a rule a result lists, unless the checkpoint says otherwise.
LISTED = 50
NONE = "–"  # how an absent value is shown
JsonObject = dict[str, Any]


class Rows(TableMetricProvider):
    """The rows of a batch, computed once for all rules on it."""

    metric_name = "parity.rows"

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: JsonObject,
        **_: Any,
    ) -> pd.DataFrame:
        rows, _compute, _accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return rows


class ParityRule(BatchExpectation):
    """A condition that at most `at_most` rows of a frame may break, any number where it is None.

    `statement` restricts it to one statement's rows. `title` names the rule, `noun` its rows,
    `shown` the columns that show a reviewer what breaks it, and `varying` those of them that change
    from run to run although the case is the same.
    """

    statement: str | None = None
    at_most: int | None = None

    title: ClassVar[str] = ""
    noun: ClassVar[str] = "rows"
    shown: ClassVar[tuple[str, ...]] = ()
    varying: ClassVar[tuple[str, ...]] = ()
    metric_dependencies: ClassVar[tuple[str, ...]] = ("parity.rows",)
    success_keys: ClassVar[tuple[str, ...]] = ("statement", "at_most")

    @abstractmethod
    def _broken(self, rows: pd.DataFrame) -> pd.Series[bool]:
        """Which of the rows break the rule."""

    def _listed(self, rows: pd.DataFrame) -> pd.Series[bool]:
        """Which of the rows a reviewer is to see, however many may break the rule."""
        return self._broken(rows)

    def cases(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame that a reviewer is to see, with the columns of `shown`."""
        mine = self._judged(rows)
        listed = mine[self._listed(mine).to_numpy(dtype=bool)]
        return listed[[name for name in self.shown if name in listed.columns]]

    def _judged(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows that the rule is about."""
        return rows if self.statement is None else rows[rows["statement"] == self.statement]

    def _of(self, rows: pd.DataFrame) -> int:
        """How many cases the rows stand for."""
        return len(rows)

    def _observed(self, rows: pd.DataFrame, broken: int, of: int) -> str:
        share = f" ({_percent(100 * broken / of)} %)" if broken and of else ""
        return f"{broken:,} of {of:,} {self.noun}{share}"

    def _validate(
        self, metrics: JsonObject, runtime_configuration: Any = None, execution_engine: Any = None
    ) -> JsonObject:
        rows = self._judged(metrics["parity.rows"])
        wrong = rows[self._broken(rows).to_numpy(dtype=bool)]
        count, of = len(wrong), self._of(rows)
        asked = (runtime_configuration or {}).get("result_format")
        listed = (
            asked.get("partial_unexpected_count", LISTED) if isinstance(asked, dict) else LISTED
        )
        cases = texts_of(wrong.head(listed), self.shown)
        return {
            "success": self.at_most is None or count <= self.at_most,
            "result": {
                "observed_value": self._observed(rows, count, of),
                "element_count": of,
                "unexpected_count": count,
                "unexpected_percent": 100 * count / of if of else 0.0,
                "partial_unexpected_list": [" · ".join(case.values()) for case in cases[:20]],
                "partial_unexpected_index_list": cases,
            },
        }

    @property
    def heading(self) -> str:
        """The rule in one line: its title, its detail and its statement."""
        detail = self._detail(self.configuration.kwargs)
        return " · ".join(filter(None, (self.title, detail, self.statement or "all statements")))

    @classmethod
    def _detail(cls, kwargs: JsonObject) -> str:
        """What distinguishes the rule from others of its class."""
        return ""

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(  # type: ignore[override]
        cls, configuration: Any = None, result: Any = None, **_: Any
    ) -> str:
        return str((result.result or {}).get("observed_value", "could not be evaluated"))

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_STATEMENT)
    def _diagnostic_unexpected_statement_renderer(  # type: ignore[override]
        cls, configuration: Any = None, result: Any = None, **_: Any
    ) -> list[Any]:
        """Say why the rule could not be evaluated, or how many rows the table below leaves out."""
        raised = exceptions_of(result)
        if raised:
            return [_text(f"The rule could not be evaluated: {'; '.join(raised)}")]
        content = result.result or {}
        listed = len(content.get("partial_unexpected_index_list") or ())
        if content.get("unexpected_count", 0) <= listed:
            return []
        return [_text(f"The first {listed:,} of {content['unexpected_count']:,}:")]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(  # type: ignore[override]
        cls, configuration: Any = None, result: Any = None, **_: Any
    ) -> list[Any] | None:
        cases = (result.result or {}).get("partial_unexpected_index_list") or []
        if not cases:
            return None
        # A stored result has its keys in alphabetical order.
        head = [name for name in cls.shown if name in cases[0]]
        table = [[str(case.get(name, "")) for name in head] for case in cases]
        return [RenderedTableContent(table=table, header_row=[n.replace("_", " ") for n in head])]


def exceptions_of(result: Any) -> list[str]:
    """Return the exceptions raised while a rule was evaluated."""
    info = result.exception_info or {}
    every = [info] if "raised_exception" in info else [i for i in info.values() if i]
    return [str(i.get("exception_message")) for i in every if i.get("raised_exception")]


def _percent(share: float) -> str:
    """Return a percentage in two digits; only what is broken throughout is 100."""
    if share >= 100:
        return f"{share:,.0f}"
    if share > 99:
        return f"{min(share, 99.9):.3g}"
    return f"{share:.2g}" if share >= 0.01 else "less than 0.01"


def _text(text: str) -> Any:
    """The text as it is, as a parameter itself, so that `$` in it names no parameter."""
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template={"template": "$text", "params": {"text": text}},
    )


def texts_of(rows: pd.DataFrame, shown: tuple[str, ...]) -> list[dict[str, str]]:
    """Return rows as texts: whole numbers without a dot, days without a time, a dash for none."""
    names = [name for name in shown if name in rows.columns]
    columns = [[_cell(value) for value in rows[name]] for name in names]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return NONE
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e18 else f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
