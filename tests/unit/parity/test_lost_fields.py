"""Fields of v1 that v2 lost: judged by the rule on the frame that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.answer import TOLERANCES_FILE
from expectations.plugin.rules import ExpectFieldNotToBeLost
from expectations.suites import make_suites
from polygon_fundamentals.parity.compare import compare_statement
from polygon_fundamentals.parity.findings import StatementFindings, writing
from polygon_fundamentals.parity.lost_fields import lost_fields
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.statements import Statement
from tests.unit.parity.tables import v1_table, v2_table

TOLERANCES = load_tolerances(TOLERANCES_FILE)
IS = Statement.INCOME_STATEMENTS
ENDS = ("2025-03-31", "2025-06-30", "2025-09-30")
Lines = dict[str, float]


def lost(
    folder: Path,
    statement: Statement,
    companies: Iterable[tuple[Lines, Lines]],
    ends: Sequence[str] = ENDS,
    first_alone: Lines | None = None,
) -> set[str]:
    """The fields that break the rule of a statement.

    Each of the companies has the same lines in three quarters, or in those that end on `ends`; the
    lines of `first_alone` the first company has in the first of them, in v1.
    """
    v1, v2 = [], []
    for number, (one, two) in enumerate(companies, start=1):
        who: dict[str, Any] = {
            "ticker": f"T{number}", "tickers": [f"T{number}"], "cik": f"{number:010}",
            "filing_date": "2025-11-01",
        }  # fmt: skip
        v1 += [who | {"end_date": end} | one for end in ends]
        v2 += [who | {"period_end": end} | two for end in ends]
    v1[0] |= first_alone or {}
    result = compare_statement(
        v1_table(statement, v1), v2_table(statement, v2), statement, TOLERANCES, {}
    )
    with writing(folder) as writer:
        for name in ("tallies", "seen"):
            writer.add(name, pa.Table.from_pandas(getattr(result, name), preserve_index=False))
    rows = lost_fields(StatementFindings(statement, folder))
    [rule] = [
        rule
        for suite in make_suites(TOLERANCES, ())
        for rule in suite.expectations
        if isinstance(rule, ExpectFieldNotToBeLost) and rule.statement == statement.value
    ]
    return set(rows.loc[rule._broken(rows), "v2_field"])


PLAIN: tuple[Lines, Lines] = (
    {"revenues": 5e6, "net_income_loss": 2e6},
    {"revenue": 5e6, "consolidated_net_income_loss": 2e6},
)


@pytest.mark.parametrize(
    ("v1", "lines", "having", "broken"),
    [
        ("research_and_development", {}, 4, {"research_development"}),
        ("research_and_development", {}, 2, {"research_development"}),
        ("research_and_development", {"research_development": 1e6}, 4, set()),
        # v1 may have a line of a single company that v2 has under another name.
        ("research_and_development", {}, 1, set()),
        # v2 has a bank's interest within revenue and cost of revenue.
        ("interest_and_dividend_income_operating", {}, 4, set()),
        ("interest_expense_operating", {}, 4, set()),
        # ... however many of the companies are banks.
        ("interest_and_dividend_income_operating", {}, 10, set()),
        ("interest_expense_operating", {}, 6, set()),
        ("interest_expense_operating", {}, 10, set()),
    ],
)
def test_a_field_that_v2_lost_whole(
    tmp_path: Path, v1: str, lines: Lines, having: int, broken: set[str]
) -> None:
    """Some of ten companies have the line in v1."""
    with_line = (PLAIN[0] | {v1: 1e6}, PLAIN[1] | lines)
    assert lost(tmp_path, IS, [with_line] * having + [PLAIN] * (10 - having)) == broken


@pytest.mark.parametrize("companies", [1, 2, 3])
def test_a_single_value_is_no_field(tmp_path: Path, companies: int) -> None:
    once = {"income_loss_from_discontinued_operations_net_of_tax": 2e6}
    assert lost(tmp_path, IS, [PLAIN] * companies, first_alone=once) == set()


def test_two_companies_of_a_few_with_one_value_each_have_lost_no_field(tmp_path: Path) -> None:
    with_line = (PLAIN[0] | {"research_and_development": 1e6}, PLAIN[1])
    assert lost(tmp_path, IS, [with_line] * 2 + [PLAIN], ends=ENDS[:1]) == set()


def test_one_company_alone_has_no_field_to_lose(tmp_path: Path) -> None:
    """A bank or an insurer, or one that has a line under another name: lost_in_v2 judges it."""
    lines = {"interest_expense_operating": 1e6, "research_and_development": 1e6}
    assert lost(tmp_path, IS, [(PLAIN[0] | lines, PLAIN[1])]) == set()
