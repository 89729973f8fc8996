"""The sandbox's parts: what it imports, its calendars, cursors, numbers and faults."""

from __future__ import annotations

import ast
import itertools
import sys
from datetime import date
from pathlib import Path

import pytest

import sandbox as package
from sandbox import Faults
from sandbox.calendar import build_calendar, next_weekday, quarter_end
from sandbox.companies import generic_symbol
from sandbox.fields import V1_LINES, V2_LINES
from sandbox.query import BadQueryError, decode_cursor, encode_cursor
from sandbox.v1_rows import exponent

MODULES = sorted(Path(package.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_imports_the_standard_library_numpy_and_itself_only(module: Path) -> None:
    """The field map and the normaliser in particular: a wrong map must not prove itself."""
    foreign = []
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.ImportFrom):
            foreign += [f"{'.' * node.level}{node.module}"] if node.level > 1 else []
        allowed = {*sys.stdlib_module_names, "numpy"}
        foreign += [name for name in names if name.split(".")[0] not in allowed]
    assert foreign == []


def test_the_guard_on_imports_sees_the_modules() -> None:
    assert {"fields", "server", "world", "facts"} <= {path.stem for path in MODULES}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((2024, 4, 12, False), date(2024, 12, 31)),
        ((2024, 1, 12, False), date(2024, 3, 31)),
        ((2024, 1, 9, False), date(2023, 12, 31)),
        ((2024, 2, 1, False), date(2023, 7, 31)),
        ((2024, 4, 2, False), date(2024, 2, 29)),
        ((2022, 4, 12, True), date(2022, 12, 31)),
        ((2020, 4, 12, True), date(2021, 1, 2)),
        ((2025, 4, 9, True), date(2025, 9, 27)),
    ],
)
def test_quarter_ends(args: tuple[int, int, int, bool], expected: date) -> None:
    assert quarter_end(*args) == expected


def test_weeks_of_a_week_based_year() -> None:
    ends = [quarter_end(year, 4, 1, True) for year in range(2010, 2030)]
    weeks = {(b - a).days / 7 for a, b in itertools.pairwise(ends)}
    assert weeks == {52, 53}


def test_filings_fall_on_weekdays() -> None:
    days = [date(2026, 7, 1).toordinal() + n for n in range(14)]
    assert {date.fromordinal(next_weekday(day)).weekday() for day in days} == {0, 1, 2, 3, 4}
    assert date.fromordinal(next_weekday(date(2026, 7, 4).toordinal())) == date(2026, 7, 6)


def test_a_longer_calendar_begins_with_the_shorter() -> None:
    def build(last: date) -> list[tuple[int, int, str]]:
        calendar = build_calendar(
            first_year=2019, last_day=last.toordinal(), month=6, week_based=True,
            lag_quarter=35, lag_annual=55, late={(2021, 2): 40}, seed=[7, 1],
        )  # fmt: skip
        return list(zip(calendar.ends, calendar.filed, calendar.accepted, strict=True))

    short, long = build(date(2022, 1, 1)), build(date(2027, 1, 1))
    assert long[: len(short)] == short
    filed = [filed for _, filed, _ in long]
    assert filed == sorted(filed)


def test_symbols_are_distinct() -> None:
    assert len({generic_symbol(index) for index in range(17_000)}) == 17_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (135_405_000_000, "1.35405e+11"),
        (-9_000_000, "-9e+06"),
        (1_234_567_890_123, "1.234567890123e+12"),
        (999_999, "999999"),
        (0, "0"),
        (2.48, "2.48"),
    ],
)
def test_exponents_keep_the_value(value: float, text: str) -> None:
    assert exponent(value) == text
    assert float(text) == value


def test_cursors_survive_a_round_trip_without_the_key() -> None:
    params = {"tickers.any_of": "BRK.B,A&B", "limit": "3", "apiKey": "secret", "cursor": "x"}
    terms, offset = decode_cursor(encode_cursor(params, 30))
    assert (terms, offset) == ({"tickers.any_of": "BRK.B,A&B", "limit": "3"}, 30)
    for broken in ("", "!!", "bm8", encode_cursor({}, 3)[:-3]):
        with pytest.raises(BadQueryError):
            decode_cursor(broken)


def test_field_lists_name_nothing_twice() -> None:
    for lines in V1_LINES.values():
        assert len({line.name for line in lines}) == len(lines)
        assert [line.order for line in lines] == sorted(line.order for line in lines)
    for columns in V2_LINES.values():
        assert len({column.name for column in columns}) == len(columns)
    assert {k: len(v) for k, v in V2_LINES.items()} == {
        "balance_sheets": 31,
        "cash_flow": 25,
        "income_statements": 27,
    }


def test_the_signs_that_v2_serves_negative() -> None:
    negative = {c.name for columns in V2_LINES.values() for c in columns if c.sign < 0}
    assert negative == {
        "treasury_stock",
        "dividends",
        "income_loss_from_discontinued_operations",
        "noncontrolling_interests",
        "purchase_of_property_plant_and_equipment",
        "interest_expense",
        "noncontrolling_interest",
    }


def test_fault_rates_are_read_and_checked() -> None:
    assert Faults.parse("429=.05, 500=.1,retry_after=.2,slow_seconds=3") == Faults(
        too_many=0.05, server_error=0.1, retry_after=0.2, slow_seconds=3.0
    )
    assert Faults.parse("") == Faults()
    for wrong in ("418=.1", "429", "429=much", "429=2", "429=.7,500=.7", "reset=-1"):
        with pytest.raises(ValueError, match=r".+"):
            Faults.parse(wrong)
