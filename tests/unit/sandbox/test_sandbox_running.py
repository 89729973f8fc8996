"""Warming up, forgetting rendered rows, and serving until interrupted."""

from __future__ import annotations

from datetime import date

import pytest

from sandbox import Sandbox, core

INCOME = "/stocks/financials/v1/income-statements"


def _sandbox() -> Sandbox:
    return Sandbox(companies=6, start=date(2024, 1, 1))


@pytest.mark.parametrize("render", [True, False])
def test_warming_up_changes_no_answer(render: bool) -> None:
    warm, cold = _sandbox(), _sandbox()
    warm.warm(render=render)
    assert warm.page(INCOME, {}, 0, 1000) == cold.page(INCOME, {}, 0, 1000)


def test_rendered_rows_are_dropped_and_come_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_RENDERED_BYTES", 10_000)
    sandbox = _sandbox()
    first = sandbox.page(INCOME, {}, 0, 1000)
    records = sandbox.rows("v1")
    assert sandbox._world.plantings.rendered > 10_000
    assert sandbox.page(INCOME, {}, 0, 1) == (first[0][:1], True)
    assert sandbox._world.plantings.rendered < 10_000
    assert sandbox.page(INCOME, {}, 0, 1000) == first
    assert sandbox.rows("v1") == records


def test_many_results_are_not_kept_for_ever() -> None:
    sandbox = _sandbox()
    for year in range(1950, 2030):
        sandbox.page(INCOME, {"fiscal_year": str(year)}, 0, 10)
    assert len(sandbox._results) <= core._KEPT_RESULTS


def test_rows_before_july_2009_carry_the_later_filings_year() -> None:
    sandbox = Sandbox(companies=1, start=date(2009, 3, 1))
    first = sandbox.rows("v2", "cash_flow")[0]
    record = sandbox.rows("v1")[-1]
    assert (first["period_end"], first["fiscal_year"]) == ("2009-03-31", 2010)
    assert (record["end_date"], record["fiscal_year"]) == ("2009-03-31", "2009")
