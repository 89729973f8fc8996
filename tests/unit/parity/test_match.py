"""Which periods meet."""

from __future__ import annotations

import tracemalloc

import pandas as pd
import pytest

from polygon_fundamentals.periods.match import match_periods, nearest_ends


def periods(*ends: str, timeframe: str = "quarterly", company: str = "A") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "company": company,
            "timeframe": timeframe,
            "period_end": pd.to_datetime(list(ends)).astype("datetime64[s]"),
        }
    )


@pytest.mark.parametrize(
    ("v1", "v2", "met"),
    [
        (["2024-03-31"], ["2024-03-31"], [(0, 0)]),
        (["2024-03-31"], ["2024-03-30"], [(0, 0)]),
        (["2009-03-30"], ["2009-03-31"], [(0, 0)]),
        (["2010-04-29"], ["2010-05-02"], [(0, 0)]),
        (["2010-12-31"], ["2011-01-02"], [(0, 0)]),
        (["2021-12-31"], ["2022-01-04"], [(0, 0)]),
        (["2024-03-20"], ["2024-03-31"], []),
        # Equal dates meet first, whatever else is near.
        (["2009-03-30"], ["2009-03-31", "2009-03-30"], [(0, 1)]),
        # Two candidates: neither.
        (["2009-03-30"], ["2009-03-29", "2009-03-31"], []),
        (["2009-03-29", "2009-03-31"], ["2009-03-30"], []),
        # One of two is taken by its own date.
        (["2009-03-29", "2009-03-31"], ["2009-03-31", "2009-03-28"], [(0, 1), (1, 0)]),
    ],
)
def test_meeting(v1: list[str], v2: list[str], met: list[tuple[int, int]]) -> None:
    matched = match_periods(periods(*v1), periods(*v2))
    assert list(zip(matched.v1.tolist(), matched.v2.tolist(), strict=True)) == met
    assert matched.v1_alone.tolist() == [i for i in range(len(v1)) if i not in dict(met)]
    assert matched.v2_alone.tolist() == [i for i in range(len(v2)) if i not in {b for _, b in met}]


@pytest.mark.parametrize("other", [{"timeframe": "annual"}, {"company": "B"}])
def test_other_companies_and_timeframes_never_meet(other: dict[str, str]) -> None:
    matched = match_periods(periods("2009-12-31"), periods("2009-12-31", **other))
    assert matched.v1.size == 0


def test_a_record_without_a_period_end_meets_none() -> None:
    matches = match_periods(periods("2024-03-31", "NaT"), periods("NaT", "2024-03-31"))
    assert (matches.v1.tolist(), matches.v2.tolist()) == ([0], [1])
    assert (matches.v1_alone.tolist(), matches.v2_alone.tolist()) == ([1], [0])


def test_many_other_dates_are_not_paired_with_one_another() -> None:
    days = pd.date_range("1990-03-31", periods=500, freq="20D")
    ours, theirs = periods(*map(str, days)), periods(*map(str, days + pd.Timedelta(days=1)))
    tracemalloc.start()
    matched = match_periods(ours, theirs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert matched.v1.tolist() == matched.v2.tolist() == list(range(500))
    assert peak < 2_000_000


@pytest.mark.parametrize("kind", ["str", "object"])
@pytest.mark.parametrize(
    ("end", "others", "nearest"),
    [
        ("2024-03-31", ["2024-03-30", "2024-03-31"], "2024-03-31"),
        ("2024-03-31", ["2024-03-24", "2024-04-03"], "2024-04-03"),
        ("2024-03-31", ["2024-03-30", "2024-03-30"], "2024-03-30"),
        ("2024-03-31", ["2024-03-20", "2024-04-11"], "NaT"),
        ("2024-03-31", [], "NaT"),
        ("NaT", ["2024-03-31", "NaT"], "NaT"),
    ],
)
def test_the_end_under_which_others_have_a_period(
    end: str, others: list[str], nearest: str, kind: str
) -> None:
    wanted = pd.concat([periods(end), periods("2024-03-31", company="B")]).set_axis([5, 3])
    matched = nearest_ends(wanted, periods(*others).astype({"company": kind}))
    assert matched.index.tolist() == [5, 3]
    assert [str(day)[:10] for day in matched] == [nearest, "NaT"]
