"""Running the rules on the frames of a statement, each by a checkpoint.

Every frame has a data source of its own: validators that share one can evaluate another's batch
(seen with Great Expectations 1.24.1).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Read by Great Expectations when it is imported.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import pandas as pd
from great_expectations.checkpoint import Checkpoint
from great_expectations.core import ExpectationSuite, ValidationDefinition
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.expectation import Expectation

from expectations import rules
from expectations.suites import Case, suites_of, titles
from polygon_fundamentals.statements import Statement

SHOWN = 200
NAME = "parity"


@dataclass(frozen=True)
class RuleResult:
    """One rule on one frame: `broken` of `of` rows; `cases` are the first of those rows.

    `detail` is the rule's object where a rule stands several times (a field, an identity);
    `observed` the value that a rule on a whole column found. `error`: it could not be evaluated.
    """

    rule: str
    title: str
    description: str
    detail: str
    statement: Statement
    frame: str
    passed: bool
    broken: int
    of: int
    cases: pd.DataFrame
    observed: str = ""
    error: str = ""


def run_checkpoint(
    frame_of: Callable[[str], pd.DataFrame], case: Case
) -> tuple[list[RuleResult], dict[str, Any]]:
    """Every rule's result on a statement, and what Great Expectations says of it, by frame.

    In the order of the suites. Nothing is written: the context lives in memory.
    """
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    # Stores in memory, and no site of its own: it would leave a folder behind for each run.
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
            analytics_enabled=False,
        ),
    )
    told: list[RuleResult] = []
    whole: dict[str, Any] = {}
    for name, expectations in suites_of(case).items():
        results, said = _run(context, name, expectations, frame_of(name), case.statement)
        told += results
        whole[f"{case.statement.value}.{name}"] = said
    return told, whole


def _run(
    context: Any,
    name: str,
    expectations: list[Expectation],
    frame: pd.DataFrame,
    statement: Statement,
) -> tuple[list[RuleResult], dict[str, Any]]:
    """Ask the rules of one frame, which nothing holds afterwards."""
    title = f"{statement.value}.{name}"
    # A rule with a condition copies the whole frame: only what the rules look at is in it.
    asked = frame[sorted(_columns(expectations))].copy()
    asked["row"] = range(len(frame))
    checkpoint = context.checkpoints.add(
        Checkpoint(
            name=title,
            validation_definitions=[_definition(context, title, expectations)],
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": SHOWN,
                "unexpected_index_column_names": ["row"],
            },
        )
    )
    done = checkpoint.run(batch_parameters={"dataframe": asked})
    [result] = done.run_results.values()
    said = result.to_json_dict()
    for rule in said["results"]:
        _name_cases(rule, frame)
    context.data_sources.delete(title)  # it holds the frame
    return [_told(rule, statement, name, frame) for rule in result.results], said


def _columns(expectations: Sequence[Expectation]) -> set[str]:
    """The columns that some expectations name, those of their conditions too."""
    found: set[str] = set()
    names = ("column", "column_A", "column_B")
    for rule in expectations:
        found.update(getattr(rule, name) for name in names if hasattr(rule, name))
        found.update(getattr(rule, "column_list", ()))
        condition: Any = getattr(rule, "row_condition", None)
        if condition is not None:
            found.add(condition.column.name)
    return found


def _definition(context: Any, title: str, expectations: list[Expectation]) -> ValidationDefinition:
    source = context.data_sources.add_pandas(title)
    batch = source.add_dataframe_asset(title).add_batch_definition_whole_dataframe(title)
    suite = context.suites.add(ExpectationSuite(name=title, expectations=expectations))
    definition = ValidationDefinition(name=title, data=batch, suite=suite)
    added: ValidationDefinition = context.validation_definitions.add(definition)
    return added


def _name_cases(rule: dict[str, Any], frame: pd.DataFrame) -> None:
    """Say what the rows that break a rule are about; Great Expectations knows their numbers."""
    cases = rule["result"].get("partial_unexpected_index_list") or []
    rows = frame.iloc[[case["row"] for case in cases]]
    for case, title in zip(cases, titles(rows), strict=True):
        case["case"] = title


def _told(result: Any, statement: Statement, name: str, frame: pd.DataFrame) -> RuleResult:
    config = result.expectation_config
    kind = _rule_class(config.type)
    found = result.result or {}
    error = "; ".join(
        str(info["exception_message"])
        for info in _exceptions(result.exception_info)
        if info.get("raised_exception")
    )
    rows = [int(case["row"]) for case in found.get("partial_unexpected_index_list") or []]
    cases = frame.iloc[rows[:SHOWN]]
    # Categories would keep the texts of all rows in memory.
    coded = cases.select_dtypes("category").columns
    observed = found.get("observed_value")
    meta = config.meta or {}
    return RuleResult(
        rule=kind.__name__,
        title=str(kind.title),
        description=str(config.description or kind.__fields__["description"].default or ""),
        detail=str(meta.get("field") or meta.get("identity") or ""),
        statement=statement,
        frame=name,
        passed=bool(result.success),
        broken=int(found.get("unexpected_count") or (not result.success)),
        of=int(meta["compared"] if "compared" in meta else found.get("element_count", len(frame))),
        cases=cases.astype(dict.fromkeys(coded, "str")),
        observed="" if observed is None else str(observed),
        error=error,
    )


def _exceptions(info: Any) -> list[dict[str, Any]]:
    """The exceptions of one result: one, or one a metric."""
    if not info:
        return []
    return [info] if "raised_exception" in info else [i for i in info.values() if i]


def _rule_class(snake: str) -> Any:
    name = "".join(part.capitalize() for part in snake.split("_"))
    return getattr(rules, name)
