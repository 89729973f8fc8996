"""The history: every past day is a filter of it, and nothing in it overlaps or looks ahead."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference import original_dates
from polygon_fundamentals.silver import versions
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.unit.silver import oracle
from tests.unit.silver.feeding import COMPANIES, answers, company, noon, store

# Besides `COMPANIES`: fourth quarters that v1 lacks, early dates, zeros for absent lines, two share
# classes in one row, and a company whose ticker changes.
MORE = {"FRTH": 29, "EARL": 34, "ZERO": 36, "BANK": 5}
RENAMED, ONLY_V2 = company(1), company(2)
START, END = date(2010, 6, 1), date(2025, 6, 1)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Fifteen years, loaded every few weeks, with all that a vendor changes after the fact."""
    lake = Lake(tmp_path_factory.mktemp("simulated"))
    lake.prepare()
    sandbox = Sandbox(companies=46, start=date(2009, 1, 1), today=START, v1_retired=False)
    chance = random.Random(7)
    followed = COMPANIES | {name: [company(index)] for name, index in MORE.items()}
    before: dict[tuple[str, str], bytes] = {}
    while sandbox.today < END:
        followed["OLD" if sandbox.today.year < 2018 else "NEW"] = [RENAMED]
        if sandbox.today.year >= 2018:
            followed.pop("OLD", None)
        _plant(sandbox, chance)
        ciks = [ciks[0] for ciks in followed.values()]
        found = answers(sandbox, ciks, list(Generation))
        changed = {key: body for key, body in found.items() if before.get(key) != body}
        store(lake, changed, followed, noon(sandbox.today))
        before = found
        sandbox.advance(chance.randint(10, 45))
    # A company that nobody loaded before: what it said at first is not known, only when it did.
    late = answers(sandbox, [ONLY_V2], [Generation.V2])
    store(lake, late, {"LATE2": [ONLY_V2]}, noon(sandbox.today))
    _keep_original_dates(lake)
    return lake


def _plant(sandbox: Sandbox, chance: random.Random) -> None:
    if chance.random() > 0.4:
        return
    kind = chance.choice(["restated", "relabel", "withdraw", "wrong_value", "missing_field"])
    cik = chance.choice([RENAMED, company(20), company(24), company(44)])
    generation = "v2" if kind == "missing_field" else chance.choice(["v1", "v2"])
    statement = "" if kind == "withdraw" else "income_statements"
    try:
        sandbox.plant(kind, generation=generation, cik=cik, statement=statement)
    except ValueError:  # nothing left there to change
        return


def _keep_original_dates(lake: Lake) -> None:
    table = silver.wide_table(lake, Generation.V2, tickers=frozenset({"LATE2", "LATE", "ZERO"}))
    periods = sorted(
        {(row["cik"], row["period_end"]) for row in table.select(["cik", "period_end"]).to_pylist()}
    )
    rows = [
        {
            "cik": cik,
            "period_end": end,
            "first_filing_date": end + timedelta(days=33),
            "source": ("index", "index_estimate")[end.month % 2],
            "form_type": "10-Q",
            "asked_at": noon(END),
        }
        for cik, end in periods
    ]
    path = original_dates.dates_file(lake)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=original_dates.SCHEMA), path)


@pytest.mark.slow
@pytest.mark.parametrize(("generation", "count"), [(Generation.V1, 60), (Generation.V2, 300)])
def test_any_past_day_is_a_filter_of_the_history(
    simulated: Lake, generation: Generation, count: int
) -> None:
    history = silver.history_table(simulated, generation)
    assert silver.known_on(history, None).equals(oracle.wide_table(simulated, generation))
    days = random.Random(5).sample(range((END - START).days), count)
    for number in days:
        day = START + timedelta(days=number)
        assert silver.known_on(history, day).equals(
            oracle.wide_table(simulated, generation, day)
        ), day
    events = {
        event
        for statement in Statement
        for g in Generation
        for event in versions.superseded(simulated.dataset(g, statement))["event"].to_pylist()
    }
    assert events == {"superseded", "withdrawn"}
    assert {"OLD", "NEW", "GONE", "SPLT"} <= set(history["ticker"].to_pylist())
    unproven = history.to_pandas()
    assert (unproven["values_known_from"] > unproven["known_from"]).any() == (
        generation is Generation.V2
    )
