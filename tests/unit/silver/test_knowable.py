"""From when versions could be known: literal versions, and loads that must not change the past."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Scope
from polygon_fundamentals.normalise import v1_tables
from polygon_fundamentals.silver import known_dates
from polygon_fundamentals.silver.version_order import local_days
from polygon_fundamentals.silver.versions import superseded, versions_schema
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import v1_row
from tests.unit.silver.feeding import put, v2_balance
from tests.unit.silver.oracle.known_dates import known_days

V1, V2 = Generation.V1, Generation.V2


def rows_of(*versions: tuple[str, str | None, str, str | None, float]) -> pa.Table:
    """Versions of one v2 balance sheet: observed, filed, event, superseded at, total assets."""
    lake = Lake(Path("unused"))
    schema = versions_schema(lake.dataset(Generation.V2, Statement.BALANCE_SHEETS))
    return pa.Table.from_pylist(
        [
            {
                "ticker": "ABC",
                "cik": "0000000001",
                "timeframe": "quarterly",
                "period_end": date(2024, 3, 31),
                "fiscal_year": 2024,
                "fiscal_quarter": 1,
                "filing_date": None if filed is None else date.fromisoformat(filed),
                "observed_at": datetime.fromisoformat(observed).replace(tzinfo=UTC),
                "event": event or None,
                "superseded_at": None
                if ended is None
                else datetime.fromisoformat(ended).replace(tzinfo=UTC),
                "total_assets": assets,
            }
            for observed, filed, event, ended, assets in versions
        ],
        schema=schema,
    )


def v1_undated(observed: str) -> pa.Table:
    """The same quarter of v1, without a filing date."""
    schema = versions_schema(Lake(Path("unused")).dataset(V1, Statement.BALANCE_SHEETS))
    row = {
        "ticker": "ABC",
        "cik": "0000000001",
        "timeframe": "quarterly",
        "end_date": date(2024, 3, 31),
        "observed_at": datetime.fromisoformat(observed).replace(tzinfo=UTC),
    }
    return pa.Table.from_pylist([row], schema=schema)


@pytest.mark.parametrize(
    ("day", "assets"),
    [
        ("2024-05-09", None),
        ("2024-05-10", 100.0),
        ("2025-01-14", 100.0),
        ("2025-01-15", 102.0),
        ("2025-05-08", 102.0),
        ("2025-05-09", 103.0),
        ("2025-11-19", 103.0),
        ("2025-11-20", None),
    ],
)
def test_a_version_counts_from_the_day_on_which_it_could_be_known(
    day: str, assets: float | None
) -> None:
    table = rows_of(
        # Loaded in June, filed in May: it could be known in May.
        ("2024-06-02T12:00", "2024-05-10", "superseded", "2025-01-15T15:00", 100.0),
        # A correction without a filing: known from the day it was seen.
        ("2025-01-15T15:00", "2024-05-10", "superseded", "2025-07-01T15:00", 102.0),
        # Next year's report restated it; seen weeks later.
        ("2025-07-01T15:00", "2025-05-09", "withdrawn", "2025-11-21T03:00", 103.0),
    )
    first = known_dates.first_filings(table, Generation.V2, {})
    spans = known_dates.lifetimes(table, Generation.V2, {}, first)
    moment = np.datetime64(day).astype("int64")
    rows = spans.loc[(spans["since"] <= moment) & (moment < spans["until"]), "row"]
    amounts = table.take(pa.array(rows))["total_assets"].to_pylist()
    assert amounts == ([] if assets is None else [assets])


@pytest.mark.parametrize(
    ("observed", "known"),
    [("2024-10-01T12:00", "2024-09-08"), ("2024-08-04T12:00", "2024-08-04")],
)
def test_an_undated_record_of_v1_counts_from_its_first_filing_or_from_when_it_was_seen(
    observed: str, known: str
) -> None:
    days = np.datetime64("2024-09-08").astype("int64"), np.datetime64("2024-03-31").astype("int64")
    key = pd.MultiIndex.from_tuples([("0000000001", days[1])])
    first = pd.Series([days[0]], index=key)
    knowable = known_days(v1_undated(observed), Generation.V1, {}, first)
    assert knowable.tolist() == [date.fromisoformat(known)]


def v1_balance(filed: str, assets: float) -> dict[str, Any]:
    row = v1_row("0000000001", "ABC", ("2024-03-31", filed, 1), assets)
    return {**row, "acceptance_datetime": f"{filed.replace('-', '')}160000"}


# Loads (balance sheet, day, scope), then what was known on a day: ticker → assets, known from.
HISTORIES: dict[
    str, tuple[Generation, list[tuple[Any, ...]], dict[str, dict[str, tuple[float, str]]]]
] = {
    "an original that comes after its corrected amendment": (
        V1,
        [
            (v1_balance("2024-06-10", 110.0), "2024-06-11"),
            (v1_balance("2024-06-10", 999.0), "2025-09-01"),
            (v1_balance("2024-05-01", 100.0), "2025-09-10"),
        ],
        {
            "2024-04-30": {},
            "2024-05-15": {"ABC": (100.0, "2024-05-01")},
            "2024-08-01": {"ABC": (110.0, "2024-06-10")},
            "2025-08-31": {"ABC": (110.0, "2024-06-10")},
            "2025-10-01": {"ABC": (999.0, "2025-09-01")},
        },
    ),
    "a filing date before the period's end, in an old load": (
        V2,
        [(v2_balance("2024-01-10", 777.0), "2026-02-01")],
        {"2024-05-15": {}, "2026-02-01": {"ABC": (777.0, "2026-02-01")}},
    ),
    "a filing date before the period's end, corrected later": (
        V2,
        [
            (v2_balance("2024-01-10", 100.0), "2026-02-01"),
            (v2_balance("2024-05-01", 100.0), "2026-03-01"),
        ],
        {
            "2024-04-30": {},
            "2024-05-01": {"ABC": (100.0, "2024-05-01")},
            "2026-03-01": {"ABC": (100.0, "2026-03-01")},
        },
    ),
    "a filing date before the period's end, seen before it": (
        V1,
        [
            (v1_balance("2024-01-10", 777.0), "2024-01-11"),
            (v1_balance("2024-05-01", 100.0), "2024-05-02"),
        ],
        {
            "2024-03-30": {},
            "2024-03-31": {"ABC": (777.0, "2024-03-31")},
            "2024-05-01": {"ABC": (100.0, "2024-05-01")},
        },
    ),
    "a corrected original that comes after its amendment": (
        V1,
        [
            (v1_balance("2024-05-01", 100.0), "2024-05-02"),
            (v1_balance("2024-06-10", 110.0), "2024-06-11"),
            (v1_balance("2024-05-01", 105.0), "2025-09-10"),
        ],
        {
            "2024-05-15": {"ABC": (100.0, "2024-05-01")},
            "2025-10-01": {"ABC": (110.0, "2024-06-10")},
        },
    ),
    "an amendment that the vendor takes back": (
        V1,
        [
            (v1_balance("2024-06-10", 110.0), "2024-06-11"),
            (v1_balance("2024-05-01", 777.0), "2025-09-01", Scope.PERIODS),
        ],
        {
            "2024-05-15": {},
            "2024-08-01": {"ABC": (110.0, "2024-06-10")},
            "2025-09-01": {"ABC": (777.0, "2025-09-01")},
        },
    ),
    "a filing date that goes back and forth": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0), "2024-05-02"),
            (v2_balance("2025-05-01", 110.0), "2025-05-02"),
            (v2_balance("2024-05-01", 100.0), "2026-02-01"),
            (v2_balance("2025-05-01", 777.0), "2026-02-08"),
        ],
        {
            "2024-06-01": {"ABC": (100.0, "2024-05-01")},
            "2025-06-01": {"ABC": (110.0, "2025-05-01")},
            "2026-02-07": {"ABC": (100.0, "2026-02-01")},
            "2026-02-08": {"ABC": (777.0, "2026-02-08")},
        },
    ),
    "a filing date that is missing for a while": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0), "2024-05-02"),
            (v2_balance(None, 100.0), "2025-07-01"),
            (v2_balance("2025-05-01", 777.0), "2025-08-01"),
            (v2_balance("2026-05-01", 120.0), "2026-06-01"),
        ],
        {
            "2025-06-01": {"ABC": (100.0, "2024-05-01")},
            "2025-08-01": {"ABC": (777.0, "2025-08-01")},
            "2026-05-01": {"ABC": (120.0, "2026-05-01")},
        },
    ),
    "a corrected value under another label": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0), "2024-05-02"),
            (v2_balance("2024-05-01", 777.0, fiscal_quarter=2), "2026-02-08", Scope.PERIODS),
        ],
        {
            "2024-06-01": {"ABC": (100.0, "2024-05-01")},
            "2026-02-07": {"ABC": (100.0, "2024-05-01")},
            "2026-02-08": {"ABC": (777.0, "2026-02-08")},
        },
    ),
    "a later filing under another label": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0), "2024-05-02"),
            (v2_balance("2025-05-01", 777.0, fiscal_quarter=2), "2026-02-08", Scope.PERIODS),
        ],
        {
            "2025-04-30": {"ABC": (100.0, "2024-05-01")},
            "2025-05-01": {"ABC": (777.0, "2025-05-01")},
        },
    ),
    "a corrected value of a record that gains its CIK": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0, cik=None), "2024-05-02"),
            (v2_balance("2024-05-01", 777.0), "2026-02-08", Scope.PERIODS),
        ],
        {
            "2024-06-01": {"ABC": (100.0, "2024-05-01")},
            "2026-02-08": {"ABC": (777.0, "2026-02-08")},
        },
    ),
    "a corrected value under a ticker that is loaded later": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0), "2024-05-02"),
            (v2_balance("2024-05-01", 777.0), "2026-02-08"),
            (v2_balance("2024-05-01", 777.0, tickers=["NEW"]), "2026-02-20"),
            (v2_balance("2024-05-01", 778.0, tickers=["NEW"]), "2026-03-01"),
        ],
        {
            "2024-06-01": {"ABC": (100.0, "2024-05-01")},
            "2026-02-08": {"ABC": (777.0, "2026-02-08"), "NEW": (777.0, "2026-02-08")},
            "2026-03-01": {"ABC": (777.0, "2026-02-08"), "NEW": (778.0, "2026-03-01")},
        },
    ),
    "the same value under a ticker that is loaded later": (
        V2,
        [
            (v2_balance("2024-05-01", 100.0), "2024-05-02"),
            (v2_balance("2024-05-01", 100.0, tickers=["NEW"]), "2026-02-20"),
        ],
        {"2024-06-01": {"ABC": (100.0, "2024-05-01"), "NEW": (100.0, "2024-05-01")}},
    ),
    "v1's amendment and original under a ticker that is loaded later": (
        V1,
        [
            (v1_balance("2024-06-10", 110.0), "2024-06-11"),
            (v1_balance("2024-05-01", 100.0) | {"tickers": ["NEW"]}, "2026-02-20"),
            (v1_balance("2024-06-10", 111.0) | {"tickers": ["NEW"]}, "2026-02-20"),
        ],
        {
            "2024-05-15": {"NEW": (100.0, "2024-05-01")},
            "2024-06-10": {"ABC": (110.0, "2024-06-10"), "NEW": (100.0, "2024-05-01")},
            "2026-02-20": {"ABC": (110.0, "2024-06-10"), "NEW": (111.0, "2026-02-20")},
        },
    ),
}


# Every other one is quick; `make test-all` runs them all.
EVERY_OTHER = [
    pytest.param(name, marks=pytest.mark.slow if number % 2 else ())
    for number, name in enumerate(HISTORIES)
]


@pytest.mark.parametrize("history_of", EVERY_OTHER)
def test_no_load_changes_what_was_known(history_of: str, lake: Lake) -> None:
    generation, loads, expected = HISTORIES[history_of]
    for row, day, *scope in loads:
        put(lake, generation, row, f"{day}T12:00", *scope)
    history = silver.history_table(lake, generation)
    rows = {
        day: {
            row["ticker"]: (row["bs_total_assets"], row["values_known_from"].isoformat())
            for row in silver.known_on(history, date.fromisoformat(day)).to_pylist()
        }
        for day in expected
    }
    assert rows == expected


ORIGINAL, AMENDMENT = v1_balance("2024-05-01", 100.0), v1_balance("2024-06-10", 110.0)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # Month → its rows; the later month was touched first.
        (
            {"05": [ORIGINAL], "06": [AMENDMENT]},
            {"2024-05-15": (100.0, "2024-05-01"), "2024-07-01": (110.0, "2024-06-10")},
        ),
        (
            {"05": [ORIGINAL, ORIGINAL], "06": [AMENDMENT, AMENDMENT]},
            {"2024-05-15": (100.0, "2024-05-01"), "2024-07-01": (110.0, "2024-06-10")},
        ),
        (
            {"06": [AMENDMENT, ORIGINAL]},
            {"2024-05-15": (100.0, "2024-05-01"), "2024-07-01": (110.0, "2024-06-10")},
        ),
        (
            {"05": [ORIGINAL, v1_balance("2024-05-01", 999.0)]},
            {"2024-05-15": (100.0, "2024-05-01"), "2025-09-10": (999.0, "2025-09-10")},
        ),
    ],
)
def test_files_of_an_older_tool(
    files: dict[str, list[dict[str, Any]]], expected: dict[str, tuple[float, str]], lake: Lake
) -> None:
    """Rows without a moment of observation: before a load tidies them up, and after."""
    statement = Statement.BALANCE_SHEETS
    touched = datetime(2025, 9, 10, 12, tzinfo=UTC).timestamp()
    for number, (month, rows) in enumerate(files.items()):
        table = v1_tables(rows, datetime.now(UTC))[statement]
        path = lake.dataset(V1, statement).file(202400 + int(month), "ABC")
        path.parent.mkdir(parents=True)
        mine = table.drop_columns(["observed_at", "absent_fields", "unmapped"])
        pq.write_table(mine.replace_schema_metadata(None), path)
        os.utime(path, (touched - number, touched - number))

    def known() -> dict[str, tuple[float, str]]:
        history = silver.history_table(lake, V1)
        tables = {day: silver.known_on(history, date.fromisoformat(day)) for day in expected}
        return {
            day: (row["bs_total_assets"], row["values_known_from"].isoformat())
            for day, table in tables.items()
            for row in table.to_pylist()
        }

    assert known() == expected
    later = {**v1_balance("2026-08-01", 5.0), "end_date": "2026-06-30"}
    put(lake, V1, later, "2026-08-02T12:00")
    assert superseded(lake.dataset(V1, statement)).num_rows
    assert known() == expected


def test_only_a_record_of_v1_borrows_the_filing_date_of_its_period() -> None:
    first = known_dates.first_filings(
        rows_of(("2025-03-01T12:00", "2024-05-10", "", None, 100.0)), Generation.V2, {}
    )
    of_v1 = v1_undated("2025-03-01T12:00")
    assert known_days(of_v1, V1, {}, first).tolist() == [date(2024, 5, 10)]
    assert known_days(of_v1, V1, {}, first[:0]).tolist() == [date(2025, 3, 1)]
    of_v2 = rows_of(("2025-03-01T12:00", None, "", None, 100.0))
    assert known_days(of_v2, V2, {}, first).tolist() == [date(2025, 3, 1)]


def test_a_filing_before_its_period_ended_is_no_first_filing() -> None:
    table = rows_of(("2025-03-01T12:00", "2024-03-01", "", None, 100.0))
    assert known_dates.first_filings(table, Generation.V2, {}).empty


def test_days_are_new_york_days() -> None:
    moments = pa.chunked_array([pa.array([datetime(2025, 1, 2, 4, 59, tzinfo=UTC)])])
    days = local_days(moments.cast(pa.timestamp("us", tz="UTC")))
    assert days.to_pylist() == [date(2025, 1, 1)]
