"""Whatever is observed in whatever order: no look-ahead, no hole, no overlap, no older period."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.statements import Generation
from tests.cutover_world import v1_row
from tests.unit.silver import oracle
from tests.unit.silver.feeding import examples, put, v2_balance

ENDS = [date(2024, 3, 31), date(2024, 6, 30), date(2024, 9, 30)]
ROW = ["ticker", "cik", "timeframe", "period_end"]


class Observation(NamedTuple):
    """A balance sheet of ABC, as a load at some moment had it."""

    generation: Generation
    cik: str  # the ticker went to another company, or back
    period: int
    filed: int | None  # days after the period's end (before it: a fault); None: no filing date
    seen: int  # days after that
    hour: int
    assets: float | None
    quarter: int | None  # off its own fiscal quarter; None: no label
    scope: Scope  # with ACCEPTED every other record of the company is withdrawn

    @property
    def end(self) -> date:
        """The period's end."""
        return ENDS[self.period]

    @property
    def filing_date(self) -> date | None:
        """The filing date that the record bears."""
        return None if self.filed is None else self.end + timedelta(days=self.filed)

    @property
    def day(self) -> date:
        """The day on which it was loaded."""
        return (self.filing_date or self.end) + timedelta(days=self.seen)

    def put(self, lake: Lake) -> None:
        """Load it."""
        label = None if self.quarter is None else (self.period + self.quarter) % 4 + 1
        filed = self.filing_date and self.filing_date.isoformat()
        if self.generation is Generation.V1:
            row = v1_row(self.cik, "ABC", (str(self.end), filed, label), 0.0)  # type: ignore[arg-type]
            row["fiscal_period"] = label and f"Q{label}"
            lines = {"liabilities": 10.0 * (self.period + 1), "assets": self.assets}
            row["financials"] = {
                "balance_sheet": {
                    name: {"value": value, "unit": "USD", "label": name, "order": 1}
                    for name, value in lines.items()
                    if value is not None
                }
            }
        else:
            labels: dict[str, Any] = {"fiscal_quarter": label, "period_end": self.end.isoformat()}
            values = {"total_liabilities": 10.0 * (self.period + 1), "cik": self.cik}
            row = v2_balance(filed, self.assets or 0.0, **labels, **values)
        put(lake, self.generation, row, f"{self.day}T{self.hour:02d}:00", self.scope)


def observations(scopes: tuple[Scope, ...], ciks: int) -> st.SearchStrategy[list[Observation]]:
    """Return lists of observations; more than one CIK: of companies that share the ticker."""
    one = st.builds(
        Observation,
        generation=st.sampled_from(Generation),
        cik=st.sampled_from([f"{n + 1:010d}" for n in range(ciks)]),
        period=st.integers(0, len(ENDS) - 1),
        # Some in the same days, so that amendments of one day come about.
        filed=st.one_of(
            st.none(), st.integers(20, 24), st.integers(20, 700), st.integers(-200, -1)
        ),
        seen=st.one_of(st.integers(0, 2), st.integers(0, 300)),
        hour=st.sampled_from([15, 20]),
        assets=st.sampled_from([None, 1.0, 2.0, 3.0]),
        quarter=st.sampled_from([0, 0, 0, 1, None]),
        scope=st.sampled_from(scopes),
    )
    return st.lists(one, min_size=1, max_size=7)


def loaded(root: Any, observations: list[Observation]) -> Lake:
    """Return a lake that was loaded with the observations as they were seen."""
    lake = Lake(root)
    lake.prepare()
    for observation in sorted(observations, key=lambda item: (item.day, item.hour)):
        observation.put(lake)
    return lake


def spans(history: pa.Table) -> dict[tuple[Any, ...], list[tuple[date, date]]]:
    """Return row → from when to when its versions stood, in their order."""
    rows: dict[tuple[Any, ...], list[tuple[date, date]]] = {}
    for row in history.to_pylist():
        key = tuple(row[name] for name in ROW)
        rows.setdefault(key, []).append((row["known_from"], row["known_to"] or date.max))
    return rows


def check(
    lake: Lake, observations: list[Observation], *, withdrawn: bool, with_oracle: bool
) -> None:
    """Build from either generation, and look at every version and every day of change."""
    for generation in Generation:
        silver.build(lake, generation)
        history = silver.read_history(lake)
        for row in history.to_pylist():
            assert row["known_from"] >= could_be_known(observations, row), row
        for versions in spans(history).values():
            assert all(begin < end for begin, end in versions)
            between = list(pairwise(versions))
            assert all(before[1] <= after[0] for before, after in between)
            if not withdrawn:
                assert all(before[1] == after[0] for before, after in between)
                assert versions[-1][1] == date.max
        days = sorted({day for span in spans(history).values() for pair in span for day in pair})
        days = [day for day in days if day != date.max]
        near = [day + timedelta(days=n) for day in days for n in (-1, 0)]
        frame = pa.table({"ticker": ["ABC"] * len(near), "date": near}) if near else None
        if frame is None:
            continue
        joined = silver.join_as_of(frame, lake, columns=["cik"])
        ends = joined["period_end"].to_pylist()
        for day, end in zip(near, ends, strict=True):
            known = silver.known_on(history, day)
            assert end == max(known["period_end"].to_pylist(), default=None)
            if with_oracle and day in days:
                assert known.equals(oracle.wide_table(lake, generation, day)), day
        if not withdrawn:
            known_ends = [end for _, end in sorted(zip(near, ends, strict=True)) if end]
            assert known_ends == sorted(known_ends)


def could_be_known(observations: list[Observation], row: dict[str, Any]) -> date:
    """Return the earliest day on which anybody could know a row's total assets.

    Of an undated record that is the day of the period's first filing, or when it was seen. A
    filing date before the period's end is none, and no period is known before it has ended.
    """
    period = [o for o in observations if (o.end, o.cik) == (row["period_end"], row["cik"])]
    filings = [o.filing_date for o in period if o.filing_date and o.filing_date >= o.end]
    days = []
    for o in period:
        # v2's zero is null where nothing proves that the company has the line.
        if (o.assets or None) == (row["bs_total_assets"] or None):
            dated = o.filing_date in filings
            days.append(o.filing_date if dated else min([o.day, *filings]))  # type: ignore[arg-type]
    return max(min(days), row["period_end"])


ONE_COMPANY = observations((Scope.WINDOW,), ciks=1)
ANYTHING = observations((Scope.WINDOW, Scope.WINDOW, Scope.PERIODS, Scope.ACCEPTED), ciks=2)


@examples(4)
@given(observations=ONE_COMPANY)
def test_for_any_order_of_observations(
    tmp_path_factory: pytest.TempPathFactory, observations: list[Observation]
) -> None:
    lake = loaded(tmp_path_factory.mktemp("lake"), observations)
    check(lake, observations, withdrawn=False, with_oracle=False)


@pytest.mark.slow
@examples(40)
@given(observations=ONE_COMPANY)
@example(  # v2's filing date is before v1's first one
    observations=[
        Observation(Generation.V2, "0000000001", 0, 20, 133, 20, 3.0, 1, Scope.WINDOW),
        Observation(Generation.V1, "0000000001", 0, 21, 0, 20, None, 1, Scope.WINDOW),
    ]
)
def test_for_any_order_of_observations_as_the_oracle_has_it(
    tmp_path_factory: pytest.TempPathFactory, observations: list[Observation]
) -> None:
    lake = loaded(tmp_path_factory.mktemp("lake"), observations)
    check(lake, observations, withdrawn=False, with_oracle=True)


@pytest.mark.slow
@examples(40)
@given(observations=ANYTHING)
def test_with_withdrawals_and_a_ticker_that_goes_to_another_company(
    tmp_path_factory: pytest.TempPathFactory, observations: list[Observation]
) -> None:
    lake = loaded(tmp_path_factory.mktemp("lake"), observations)
    check(lake, observations, withdrawn=True, with_oracle=True)
