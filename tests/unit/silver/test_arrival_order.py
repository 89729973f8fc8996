"""The history does not depend on the order in which observations reach the lake."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.silver.versions import superseded
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import v1_row
from tests.unit.silver import oracle
from tests.unit.silver.feeding import examples, put, v2_balance

V1, V2 = Generation.V1, Generation.V2
END = date(2024, 3, 31)


class Observation(NamedTuple):
    """A balance sheet of ABC, as a recording or a load had it at a moment."""

    filed: int | None  # days after the period's end; None: no filing date
    seen: int  # days after the period's end
    assets: float
    quarter: int = 1
    ticker: str = "ABC"
    cik: str = "0000000001"

    def put(self, lake: Lake, generation: Generation) -> None:
        """Bring it to the lake."""
        filed = None if self.filed is None else str(END + timedelta(days=self.filed))
        if generation is V1:
            row = v1_row(self.cik, self.ticker, (str(END), filed, self.quarter), self.assets)  # type: ignore[arg-type]
        else:
            names = {"cik": self.cik, "tickers": [self.ticker]}
            row = v2_balance(filed, self.assets, fiscal_quarter=self.quarter, **names)
        put(lake, generation, row, f"{END + timedelta(days=self.seen)}T15:00")


def lake_of(
    tmp_path_factory: pytest.TempPathFactory,
    observations: list[Observation],
    generation: Generation,
) -> Lake:
    """Return a lake that the observations reached in this order."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.prepare()
    for observation in observations:
        observation.put(lake, generation)
    return lake


def history_of(
    tmp_path_factory: pytest.TempPathFactory,
    observations: list[Observation],
    generation: Generation,
) -> list[dict[str, object]]:
    """Return the history of a lake that the observations reached in this order."""
    lake = lake_of(tmp_path_factory, observations, generation)
    rows: list[dict[str, object]] = silver.history_table(lake, generation).to_pylist()
    return rows


# Observations in the order in which they reach the lake, then (known_from, assets), in v1 and v2.
ARRIVALS: dict[str, tuple[list[Observation], dict[Generation, list[tuple[int, float]]]]] = {
    "an import between two versions of one filing": (
        [Observation(30, 60, 1.0), Observation(30, 330, 3.0), Observation(30, 150, 2.0)],
        {g: [(30, 1.0), (150, 2.0), (330, 3.0)] for g in Generation},
    ),
    "imports from the last to the first": (
        [Observation(30, 330, 3.0), Observation(30, 150, 2.0), Observation(30, 60, 1.0)],
        {g: [(30, 1.0), (150, 2.0), (330, 3.0)] for g in Generation},
    ),
    "a correction of an original before its amendment": (
        [Observation(30, 60, 1.0), Observation(200, 210, 3.0), Observation(30, 150, 2.0)],
        {g: [(30, 1.0), (150, 2.0), (200, 3.0)] for g in Generation},
    ),
    "a correction of an original after its amendment": (
        [Observation(30, 60, 1.0), Observation(200, 330, 3.0), Observation(30, 250, 2.0)],
        {V1: [(30, 1.0), (200, 3.0)], V2: [(30, 1.0), (200, 3.0)]},
    ),
    "records without a filing date": (
        [Observation(None, 60, 1.0), Observation(None, 330, 3.0), Observation(None, 150, 2.0)],
        {g: [(60, 1.0), (150, 2.0), (330, 3.0)] for g in Generation},
    ),
    "what was seen before, seen again between": (
        [Observation(30, 60, 1.0), Observation(30, 330, 3.0), Observation(30, 150, 1.0)],
        {g: [(30, 1.0), (330, 3.0)] for g in Generation},
    ),
    "what stands, seen sooner": (
        [Observation(30, 60, 1.0), Observation(30, 330, 3.0), Observation(30, 150, 3.0)],
        {g: [(30, 1.0), (150, 3.0)] for g in Generation},
    ),
    "what an original said, seen sooner": (
        [
            Observation(30, 60, 1.0),
            Observation(30, 150, 2.0),
            Observation(200, 210, 3.0),
            Observation(30, 100, 2.0),
        ],
        {g: [(30, 1.0), (100, 2.0), (200, 3.0)] for g in Generation},
    ),
    "what stands, seen before another value too": (
        [
            Observation(30, 60, 1.0),
            Observation(30, 330, 3.0),
            Observation(30, 250, 1.0),
            Observation(30, 150, 3.0),
        ],
        {g: [(30, 1.0), (150, 3.0), (250, 1.0), (330, 3.0)] for g in Generation},
    ),
}


# One generation of each in turn is quick; `make test-all` runs both.
@pytest.mark.parametrize(
    ("generation", "first"),
    [
        pytest.param(g, first, marks=pytest.mark.slow if g is list(Generation)[first] else ())
        for g in Generation
        for first in (0, 1)
    ],
)
def test_an_observation_counts_from_its_own_moment_whenever_it_comes(
    generation: Generation, first: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each list of arrivals is of a company of its own."""
    chosen = list(ARRIVALS.items())[first::2]
    observations = [
        observation._replace(cik=f"{number + 1:010d}", ticker=f"T{number}")
        for number, (_, (arrivals, _)) in enumerate(chosen)
        for observation in arrivals
    ]
    stored = history_of(tmp_path_factory, observations, generation)
    for number, (arrival, (_, expected)) in enumerate(chosen):
        rows = [row for row in stored if row["ticker"] == f"T{number}"]
        versions = [((row["known_from"] - END).days, row["bs_total_assets"]) for row in rows]  # type: ignore[operator]
        assert versions == expected[generation], arrival
        ends = [row["known_to"] for row in rows]
        assert ends == [*(row["known_from"] for row in rows[1:]), None], arrival
    in_order = sorted(observations, key=lambda o: o.seen)
    assert stored == history_of(tmp_path_factory, in_order, generation)


class Seen(NamedTuple):
    """One observation of a record: its filing, whether its value is new, and when it was."""

    record: tuple[str, int]  # ticker and fiscal quarter
    filed: int | None
    is_new: bool
    seen: int


@st.composite
def arrivals(draw: st.DrawFn) -> list[Observation]:
    """Return observations of some records of a period in any order, no two of one moment.

    The last of each record is of its latest filing: when a load has seen an earlier filing last,
    the vendor may have taken the later one back. No content comes back after another: that a row
    was seen again leaves no trace in the lake, so that the order of three such observations would.
    """
    one = st.builds(
        Seen,
        record=st.sampled_from([("ABC", 1), ("ABC", 1), ("ABC", 1), ("ABC", 2), ("NEW", 1)]),
        filed=st.sampled_from([None, 30, 30, 90, 200]),
        is_new=st.booleans(),
        seen=st.integers(31, 400),
    )
    seen = draw(st.lists(one, min_size=2, max_size=7, unique_by=lambda s: s.seen))
    seen.sort(key=lambda s: s.seen)
    observations = []
    last: dict[tuple[str, int], Observation] = {}
    for number, item in enumerate(seen):
        before, filed = last.get(item.record), item.filed
        mine = [s.filed or 0 for s in seen if s.record == item.record]
        if item.record not in {s.record for s in seen[number + 1 :]}:
            filed = max(mine) or None
        is_same = before is not None and not item.is_new and before.filed == filed
        assets = before.assets if before is not None and is_same else 1.0 + number
        observation = Observation(filed, item.seen, assets, item.record[1], item.record[0])
        last[item.record] = observation
        observations.append(observation)
    return draw(st.permutations(observations))


def check(
    tmp_path_factory: pytest.TempPathFactory, arrival: list[Observation], generation: Generation
) -> None:
    """Assert that a lake's history is that of the same observations in their own order."""
    in_order = sorted(arrival, key=lambda o: o.seen)
    assert history_of(tmp_path_factory, arrival, generation) == history_of(
        tmp_path_factory, in_order, generation
    )


@pytest.mark.slow
@examples(60)
@given(arrival=arrivals(), generation=st.sampled_from(Generation))
def test_in_any_order_as_the_oracle_has_it(
    tmp_path_factory: pytest.TempPathFactory, arrival: list[Observation], generation: Generation
) -> None:
    check(tmp_path_factory, arrival, generation)
    lake = lake_of(tmp_path_factory, arrival, generation)
    history = silver.history_table(lake, generation)
    for day in {*history["known_from"].to_pylist(), *history["known_to"].to_pylist()} - {None}:
        known = silver.known_on(history, day)
        assert known.equals(oracle.wide_table(lake, generation, day)), day


def versions(lake: Lake, generation: Generation) -> list[tuple[str, str, float]]:
    """Return from when to when each version of the first quarter stood, with its assets."""
    return [
        (str(row["known_from"]), str(row["known_to"]), row["bs_total_assets"])
        for row in silver.history_table(lake, generation).to_pylist()
        if row["period_end"] == END
    ]


def balance(generation: Generation, filed: str, assets: float, **other: object) -> dict[str, Any]:
    """Return the balance sheet of ABC's first quarter of 2024."""
    if generation is V2:
        return v2_balance(filed, assets, **other)
    return v1_row("0000000001", "ABC", (str(END), filed, 1), assets) | other


def put_and_withdraw(lake: Lake, generation: Generation) -> None:
    """Store a record, then take in an answer that has only another period of the ticker."""
    put(lake, generation, balance(generation, "2024-05-01", 1.0), "2024-05-02T15:00")
    end = {V1: "end_date", V2: "period_end"}[generation]
    other = balance(generation, "2024-05-01", 9.0, **{end: "2023-12-31"})
    put(lake, generation, other, "2025-01-10T15:00", Scope.ACCEPTED)


@pytest.mark.parametrize("generation", Generation)
def test_a_late_observation_ends_with_the_withdrawal_that_followed_it(
    lake: Lake, generation: Generation
) -> None:
    put_and_withdraw(lake, generation)
    put(lake, generation, balance(generation, "2024-05-01", 3.0), "2025-06-01T15:00")
    put(lake, generation, balance(generation, "2024-05-01", 2.0), "2024-09-01T15:00")
    assert versions(lake, generation) == [
        ("2024-05-01", "2024-09-01", 1.0),
        ("2024-09-01", "2025-01-10", 2.0),
        ("2025-06-01", "None", 3.0),
    ]


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("assets", [1.0, 2.0])
def test_a_late_observation_does_not_bring_a_withdrawn_record_back(
    lake: Lake, generation: Generation, assets: float
) -> None:
    put_and_withdraw(lake, generation)
    put(lake, generation, balance(generation, "2024-05-01", assets), "2024-09-01T15:00")
    late = [("2024-05-01", "2024-09-01", 1.0), ("2024-09-01", "2025-01-10", 2.0)]
    expected = late if assets == 2.0 else [("2024-05-01", "2025-01-10", 1.0)]
    assert versions(lake, generation) == expected
    # One that was observed after the withdrawal does.
    put(lake, generation, balance(generation, "2024-05-01", 3.0), "2025-06-01T15:00")
    assert versions(lake, generation) == [*expected, ("2025-06-01", "None", 3.0)]


def test_a_late_observation_of_an_amendment_that_was_taken_back(lake: Lake) -> None:
    put(lake, V1, balance(V1, "2024-06-10", 1.0), "2024-06-11T15:00")
    put(lake, V1, balance(V1, "2024-05-01", 3.0), "2025-09-01T15:00", Scope.PERIODS)
    put(lake, V1, balance(V1, "2024-06-10", 2.0), "2025-01-05T15:00")
    assert versions(lake, V1) == [
        ("2024-06-10", "2025-01-05", 1.0),
        ("2025-01-05", "2025-09-01", 2.0),
        ("2025-09-01", "None", 3.0),
    ]


@pytest.mark.parametrize("generation", Generation)
def test_what_lost_to_a_row_of_its_own_answer_was_never_known(
    lake: Lake, generation: Generation
) -> None:
    """The answer holds the record twice; the row that stood before stands after it too."""
    stands = balance(generation, "2024-05-01", 1.0)
    put(lake, generation, stands, "2024-06-01T15:00")
    at = datetime(2024, 9, 1, 15, tzinfo=UTC)
    rows = [balance(generation, "2024-05-01", 777.0), stands]
    statement = Statement.BALANCE_SHEETS
    table = v1_tables(rows, at)[statement] if generation is V1 else v2_table(rows, statement, at)
    incoming = Incoming(table, {"ABC": range(2)}, Scope.WINDOW, frozenset(), at)
    commit(lake.dataset(generation, statement), incoming)
    assert versions(lake, generation) == [("2024-05-01", "None", 1.0)]
    put(lake, generation, balance(generation, "2024-05-01", 3.0), "2025-02-01T15:00")
    assert versions(lake, generation) == [
        ("2024-05-01", "2025-02-01", 1.0),
        ("2025-02-01", "None", 3.0),
    ]


def test_observations_that_say_the_same_leave_one_revision(lake: Lake) -> None:
    """Recordings of every day before the row that stands: the first of them tells all."""
    put(lake, V1, balance(V1, "2024-05-01", 1.0), "2025-09-01T15:00")
    for day in range(1, 5):
        put(lake, V1, balance(V1, "2024-05-01", 1.0), f"2024-09-0{day}T15:00")
    rows = superseded(lake.dataset(V1, Statement.BALANCE_SHEETS))
    assert [str(moment.date()) for moment in rows["observed_at"].to_pylist()] == ["2024-09-01"]
