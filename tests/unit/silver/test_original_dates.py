"""When periods were first filed: filings of the index matched to periods in order."""

from __future__ import annotations

import re
import shutil
from datetime import date

import pandas as pd
import pytest

from flows.commands import COMMANDS
from flows.commands.options import parameters_of
from flows.commands.parser import parser
from polygon_fundamentals.errors import ApiError, DamagedFileError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.filing_alignment import align
from polygon_fundamentals.reference.original_dates import (
    by_source,
    companies_of,
    date_periods,
    dates_file,
    fetch_filings,
    load_dates,
    match_filings,
    periods_of,
)
from polygon_fundamentals.silver.table import as_of
from polygon_fundamentals.statements import Generation
from sandbox import Sandbox
from tests.conftest import client_of
from tests.cutover_world import fill, v1_row
from tests.servers import results, serving
from tests.unit.silver.feeding import company, feed, put, v2_balance

FAR = date(2030, 1, 1)


def aligned(periods: list[str], filings: list[str], bounds: dict[str, str] | None = None) -> dict:
    """Return period → its filing with `?` where it is an estimate; `K` marks a year's end."""
    ends = [date.fromisoformat(p.rstrip("K")) for p in periods]
    days = [date.fromisoformat(f.rstrip("K")) for f in filings]
    limits = {date.fromisoformat(k): date.fromisoformat(v) for k, v in (bounds or {}).items()}
    found = align(
        ends,
        [p.endswith("K") for p in periods],
        [limits.get(end, FAR) for end in ends],
        days,
        [f.endswith("K") for f in filings],
    )
    return {
        str(end)[2:7]: None
        if dated.filing is None
        else str(days[dated.filing])[2:] + ("" if dated.sure else "?")
        for end, dated in zip(ends, found, strict=True)
    }


YEAR = ["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31K", "2024-03-31"]
FILED = ["2023-05-05", "2023-08-04", "2023-11-03", "2024-02-20K", "2024-05-03"]


def test_on_time() -> None:
    assert aligned(YEAR, FILED) == {
        "23-03": "23-05-05",
        "23-06": "23-08-04",
        "23-09": "23-11-03",
        "23-12": "24-02-20",
        "24-03": "24-05-03",
    }


def test_a_late_quarter_filed_after_the_next_ones_end() -> None:
    filed = ["2023-05-05", "2023-10-20", "2023-11-03", "2024-02-20K", "2024-05-03"]
    found = aligned(YEAR, filed)
    assert found["23-06"] == "23-10-20"
    assert found["23-09"] == "23-11-03"


def test_a_backlog_filed_in_order() -> None:
    filed = ["2023-09-01", "2023-10-20", "2023-12-15", "2024-06-20K", "2024-07-10"]
    assert aligned(YEAR, filed) == {
        "23-03": "23-09-01",
        "23-06": "23-10-20",
        "23-09": "23-12-15",
        "23-12": "24-06-20",
        "24-03": "24-07-10",
    }


def test_where_two_could_be_meant_the_later() -> None:
    # A second 10-Q three weeks on: one of the two is an amendment under the wrong form.
    found = aligned(YEAR, sorted([*FILED, "2023-08-25"]))
    assert found["23-06"] == "23-08-25?"
    assert found["23-03"] == "23-05-05"
    assert found["23-09"] == "23-11-03"


@pytest.mark.parametrize(
    ("periods", "filings", "expected"),
    [
        # The one before is not in the lake: its report came late, a week after this one's end.
        (["2023-09-30"], ["2023-10-06", "2024-01-25"], {"23-09": "24-01-25?"}),
        (
            ["2023-03-31", "2023-09-30"],
            ["2023-05-05", "2023-10-06", "2024-01-25"],
            {"23-03": "23-05-05", "23-09": "24-01-25?"},
        ),
        # Two before it, both late.
        (
            ["2023-09-30"],
            ["2023-10-06", "2023-12-01", "2024-01-25"],
            {"23-09": "24-01-25?"},
        ),
        # On time, and the first that the company ever filed.
        (["2023-09-30"], ["2023-11-03", "2024-02-20K"], {"23-09": "23-11-03"}),
        (["2023-12-31K"], ["2024-02-29K", "2024-05-03"], {"23-12": "24-02-29"}),
        # Years alone, as a load of one timeframe leaves them.
        (
            ["2022-12-31K", "2023-12-31K"],
            ["2022-11-04", "2023-02-21K", *FILED],
            {"22-12": "23-02-21", "23-12": "24-02-20"},
        ),
    ],
)
def test_periods_that_the_lake_lacks(
    periods: list[str], filings: list[str], expected: dict[str, str]
) -> None:
    assert aligned(periods, filings) == expected


def test_a_filing_that_the_index_lacks_leaves_its_period_unknown() -> None:
    filed = ["2023-05-05", "2023-11-03", "2024-02-20K", "2024-05-03"]
    found = aligned(YEAR, filed)
    assert found["23-06"] is None
    assert found["23-09"] == "23-11-03"


def test_periods_before_the_first_report_stay_unknown() -> None:
    # Listed in summer 2023: the year before is known from comparatives alone.
    periods = ["2022-06-30", "2022-09-30", "2022-12-31K", *YEAR[1:]]
    found = aligned(periods, FILED[1:])
    assert [found[p] for p in ("22-06", "22-09", "22-12")] == [None, None, None]
    assert found["23-06"].startswith("23-08-04")
    assert found["24-03"] == "24-05-03"


def test_the_first_filing_is_not_after_one_that_shows_the_period() -> None:
    found = aligned(YEAR, sorted([*FILED, "2023-08-25"]), {"2023-06-30": "2023-08-04"})
    assert found["23-06"].startswith("23-08-04")


def test_a_change_of_the_fiscal_year() -> None:
    # The year now ends in September: a transition report (10-KT) closes nine months.
    periods = ["2023-03-31", "2023-06-30", "2023-09-30K", "2023-12-31", "2024-03-31", "2024-06-30"]
    filed = ["2023-05-05", "2023-08-04", "2023-12-10K", "2024-02-05", "2024-05-03", "2024-08-02"]
    found = aligned(periods, filed)
    assert found["23-09"] == "23-12-10"
    assert found["23-12"] == "24-02-05"


def test_a_report_under_the_other_form_is_an_estimate() -> None:
    # v2 labels the transition quarter as a third one, yet it was closed with a 10-KT.
    periods = ["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31", "2024-03-31"]
    filed = ["2023-05-05", "2023-08-04", "2023-12-01K", "2024-02-05", "2024-05-03"]
    assert aligned(periods, filed)["23-09"] == "23-12-01?"


def test_no_filings_no_dates() -> None:
    assert aligned(YEAR, []) == dict.fromkeys(aligned(YEAR, FILED))
    assert align([], [], [], [], []) == []


def test_dates_of_one_period_in_two_statements_share_a_filing() -> None:
    periods = pd.DataFrame(
        {
            "cik": ["1", "1"],
            "period_end": pd.to_datetime(["2021-12-31", "2022-01-04"]),
            "annual": [True, True],
            "bound": pd.to_datetime(["2023-02-07", "2023-02-07"]),
        }
    )
    filings = pd.DataFrame(
        {"cik": ["1"], "filing_date": pd.to_datetime(["2022-02-08"]), "form_type": ["10-K"]}
    )
    table = match_filings(periods, filings)
    assert table["first_filing_date"].to_pylist() == [date(2022, 2, 8)] * 2
    assert table["source"].to_pylist() == ["index", "index"]


def test_the_sandbox_agrees_with_v1(lake: Lake) -> None:
    """Late filers, amendments and fiscal years of all kinds: what the index says is v1's date."""
    numbers = [0, 22, 25, 26, 33, 41]
    with Sandbox(companies=46, start=date(2022, 7, 1), today=date(2025, 7, 1)) as sandbox:
        tickers = {f"C{n}": [company(n)] for n in numbers}
        feed(
            sandbox,
            lake,
            tickers,
            pd.Timestamp("2025-07-01", tz="UTC").to_pydatetime(),
            [Generation.V2],
        )
        counts = date_periods(lake, client_of(sandbox), list(tickers))
        truth = {
            (row["cik"], row["end_date"]): row["filing_date"]
            for row in sandbox.rows("v1")
            if row.get("filing_date") and row["timeframe"] in ("quarterly", "annual")
        }
        for row in sandbox.rows("v1"):  # the original, not the amendment
            key = (row["cik"], row["end_date"])
            if row.get("filing_date"):
                truth[key] = min(truth.get(key, "9999"), row["filing_date"])
    assert counts["companies"] == 6
    found = load_dates(lake).to_pylist()
    checked = [
        (row["first_filing_date"].isoformat(), truth[key], row["source"])
        for row in found
        if (key := (row["cik"], row["period_end"].isoformat())) in truth
    ]
    assert len(checked) > 50
    early = [entry for entry in checked if entry[0] < entry[1]]
    assert early == []
    sure = [entry for entry in checked if entry[2] == "index"]
    assert len(sure) > 0.9 * len(checked)
    assert all(found == true for found, true, _ in sure)
    assert sum(len(series) for _, series in by_source(load_dates(lake))) == len(found)


QUARTERS = (
    ("2025-03-31", "2025-05-02"),
    ("2025-06-30", "2025-08-01"),
    ("2025-09-30", "2025-10-31"),
)


def reports_of_companies(*days: str) -> list[dict[str, str]]:
    return [
        {"cik": cik, "filing_date": day, "form_type": "10-Q"}
        for cik in ("0000000001", "0000000002")
        for day in days
    ]


def dated_by(lake: Lake, rows: list[dict[str, str]]) -> dict[str, object]:
    with serving(lambda _: results(rows)) as server:
        return date_periods(lake, client_of(server), ["AAA", "BBB"])  # type: ignore[arg-type]


@pytest.fixture
def late(lake: Lake) -> Lake:
    """A lake of v2 alone, which names next year's filing for each quarter, as the vendor does."""
    numbered = [(end, filed, n) for n, (end, filed) in enumerate(QUARTERS, 1)]
    later = [(end, f"2026{filed[4:]}", n) for end, filed, n in numbered]
    fill(lake, quarters=tuple(numbered), v2_quarters=tuple(later))
    shutil.rmtree(lake.bronze / "fundamentals")
    return lake


def test_an_index_that_answers_nothing_takes_no_date_away(late: Lake) -> None:
    days = [filed for _, filed in QUARTERS]
    assert dated_by(late, reports_of_companies(*days))["unknown"] == 0
    kept, known = load_dates(late), as_of(late, date(2025, 12, 1), Generation.V2)
    with pytest.raises(ApiError, match="lists no report of any of the 2 companies asked for; the"):
        dated_by(late, [])
    assert load_dates(late).equals(kept)
    assert as_of(late, date(2025, 12, 1), Generation.V2).num_rows == known.num_rows == 6


def test_an_index_that_lacks_some_reports_takes_no_date_away(late: Lake) -> None:
    days = [filed for _, filed in QUARTERS]
    dated_by(late, reports_of_companies(*days))
    before = load_dates(late).drop_columns(["asked_at"])
    counts = dated_by(late, reports_of_companies(*days[2:]))
    assert counts["unknown"] == 0
    assert load_dates(late).drop_columns(["asked_at"]).equals(before)


def test_companies_without_a_report_of_which_none_was_known_are_unknown(late: Lake) -> None:
    assert dated_by(late, [])["unknown"] == 6


def test_odd_entries_of_the_index_are_passed_over() -> None:
    good = {"cik": "1", "filing_date": "2024-05-02", "form_type": "10-Q"}
    odd = ({"filing_date": "0000-00-00"}, {"filing_date": 20240502}, {"form_type": ["10-Q"]})
    rows = [good, *(good | changes for changes in odd), {}]
    with serving(lambda _: results(rows)) as server:
        found = fetch_filings(client_of(server), ["1"])  # type: ignore[arg-type]
    assert found.to_dict("records") == [
        {"cik": "0000000001", "filing_date": pd.Timestamp("2024-05-02"), "form_type": "10-Q"}
    ]


def test_late_where_a_report_could_be_either_ones_the_later_counts() -> None:
    # Two reports for three open periods, all late: June's may be the first or the second.
    periods = ["2023-03-31", "2023-06-30", "2023-09-30"]
    found = aligned(periods, ["2023-12-20", "2024-01-10"])
    assert found["23-09"] == "24-01-10"
    print(found)
    assert found["23-06"] == "23-12-20?"


def test_a_damaged_file_is_named(lake: Lake) -> None:
    path = dates_file(lake)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(DamagedFileError, match=r"original_dates\.parquet cannot be read") as caught:
        load_dates(lake)
    command = re.search("`polygon-fundamentals (.*)`", str(caught.value))
    assert command is not None
    arguments = parser("flows").parse_args(command[1].split())
    assert parameters_of(COMMANDS[arguments.command].parameters, arguments)


def test_a_filing_date_before_the_periods_end_bounds_no_report(lake: Lake) -> None:
    for generation, row in (
        (Generation.V1, v1_row("0000000001", "ABC", ("2024-03-31", "2024-01-10", 1), 1.0)),
        (Generation.V2, v2_balance("2024-01-10", 1.0)),
    ):
        put(lake, generation, row, "2026-02-01T12:00")
    assert periods_of(lake, ["ABC"])["bound"].isna().tolist() == [True]
    assert companies_of(lake, ["ABC"])["bound"].isna().tolist() == [True]
