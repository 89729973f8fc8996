"""The oddities of the real APIs are all there with the default seed and 60 companies."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from typing import Any

import pytest

from sandbox import Planted, Sandbox

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture(scope="module")
def v1(sandbox: Sandbox) -> Rows:
    return sandbox.rows("v1")


@pytest.fixture(scope="module")
def income(sandbox: Sandbox) -> Rows:
    return sandbox.rows("v2", "income_statements")


@pytest.fixture(scope="module")
def balance(sandbox: Sandbox) -> Rows:
    return sandbox.rows("v2", "balance_sheets")


def _of(sandbox: Sandbox, kind: str) -> list[Planted]:
    found = [planted for planted in sandbox.planted if planted.kind == kind]
    assert found, f"nothing of the kind {kind}"
    return found


def test_every_oddity_is_listed(sandbox: Sandbox) -> None:
    assert {planted.kind for planted in sandbox.planted} == {
        "amended", "bank", "derived_quarter", "cash_adjustments",
        "definition_differs", "delisted", "early_dates_off", "empty_row", "extra_period",
        "file_name", "insurer", "keys_omitted", "large_numbers", "late_filer", "markup_name",
        "missing_period", "no_tickers", "renamed", "renamed_short_history", "rounded_by_filer",
        "share_classes", "shared_ticker", "split_adjusted", "stray_label", "two_codes", "units",
        "v1_breaks_identity", "v2_only", "week_based", "zero_filled",
    }  # fmt: skip


def test_symbols_that_need_care(sandbox: Sandbox) -> None:
    assert {"NAN", "TRUE", "CON", "SBX.A", "SBX.B"} <= set(sandbox.tickers)
    assert sandbox.companies == 60
    assert len(sandbox.tickers) == len(set(sandbox.tickers))


def test_amounts_beyond_32_bits_and_a_trillion(income: Rows, balance: Rows) -> None:
    assert sum(row["total_assets"] is not None and row["total_assets"] > 1e12 for row in balance)
    large = sum((row["revenue"] or 0) > 2**31 for row in income)
    assert large > 1000
    assert all(
        isinstance(row[name], int)
        for row in income
        for name in ("consolidated_net_income_loss", "income_before_income_taxes")
        if row[name] is not None
    )


def test_absent_lines_are_zero_null_or_no_key(income: Rows) -> None:
    def of(cik: str) -> Rows:
        return [row for row in income if row["cik"] == cik]

    zero, omitted = of("0009000036"), of("0009000037")
    assert all(value is not None for row in zero for value in row.values())
    assert any(value == 0.0 and isinstance(value, float) for value in zero[0].values())
    assert all(value is not None for row in omitted for value in row.values())
    assert len(omitted[0]) < len(zero[0])
    assert any(value is None for row in income for value in row.values())


def test_share_classes_share_one_row(sandbox: Sandbox, income: Rows, v1: Rows) -> None:
    rows = [row for row in income if "SPQW" in row.get("tickers", [])]
    assert {tuple(row["tickers"]) for row in rows} == {("SPQ", "SPQU", "SPQW")}
    keys = Counter((row["cik"], row["period_end"], row["timeframe"]) for row in rows)
    assert set(keys.values()) == {1}
    assert any("SPQW" in record.get("tickers", []) for record in v1)


def test_a_ticker_that_spans_two_companies(income: Rows, v1: Rows) -> None:
    assert {row["cik"] for row in income if "MUX" in row.get("tickers", [])} == {
        "0009000009",
        "0009000010",
    }
    assert {r["cik"] for r in v1 if "MUX" in r.get("tickers", [])} == {"0009000009"}


def test_renamed_companies(income: Rows, v1: Rows) -> None:
    whole = [row for row in income if row["cik"] == "0009000011"]
    short = [row for row in whole if "NEWX" in row["tickers"]]
    assert 0 < len(short) < len(whole) / 4
    assert {tuple(row["tickers"]) for row in whole} == {("NEWX",), ("OLDX",)}
    assert {tuple(r["tickers"]) for r in income if r["cik"] == "0009000012"} == {("NEWY",)}
    assert {tuple(r["tickers"]) for r in v1 if r["cik"] == "0009000012"} == {("OLDY",)}


def test_delisted_companies_are_in_v1_only(sandbox: Sandbox, income: Rows, v1: Rows) -> None:
    for planted in _of(sandbox, "delisted"):
        assert any(record["cik"] == planted.cik for record in v1)
        assert not any(row["cik"] == planted.cik for row in income)


def test_some_rows_have_no_tickers(income: Rows, v1: Rows) -> None:
    assert {row["cik"] for row in income if "tickers" not in row} == {"0009000013"}
    assert {row["cik"] for row in v1 if "tickers" not in row} == {"0009000014"}


def test_v2_filing_dates_moved_on_by_a_year(income: Rows, v1: Rows) -> None:
    filed = {
        (r["cik"], r["end_date"]): r["filing_date"]
        for r in v1
        if r["timeframe"] == "quarterly" and r["fiscal_period"] != "Q4"
    }
    gaps = [
        (date.fromisoformat(row["filing_date"]) - date.fromisoformat(original)).days
        for row in income
        if row["timeframe"] == "quarterly" and row["period_end"] < "2025-03-01"
        and (original := filed.get((row["cik"], row["period_end"])))
    ]  # fmt: skip
    assert len(gaps) > 2000
    assert sorted(gaps)[len(gaps) // 20] > 340


def test_fourth_quarters(sandbox: Sandbox, income: Rows, v1: Rows) -> None:
    fourth = [r for r in v1 if r["fiscal_period"] == "Q4"]
    assert fourth
    assert all(r["filing_date"] is None and r["start_date"] < r["end_date"] for r in fourth)
    assert all("acceptance_datetime" not in r for r in fourth)
    shares = [r["financials"]["income_statement"]["basic_average_shares"]["value"] for r in fourth]
    assert min(shares) < 0, "differences of averages are nonsense, as v1's are"
    lacking = {p.cik for p in _of(sandbox, "extra_period") if "no fourth" in p.note}
    assert not lacking & {r["cik"] for r in fourth}
    assert lacking <= {row["cik"] for row in income if row["fiscal_quarter"] == 4}


def test_trailing_records_of_v1(v1: Rows) -> None:
    ttm = [r for r in v1 if r["timeframe"] == "ttm"]
    assert ttm
    assert all("filing_date" not in r for r in ttm)
    assert all("balance_sheet" in r["financials"] for r in ttm)


def test_amendments_are_two_records_of_one_period(sandbox: Sandbox, v1: Rows) -> None:
    found: dict[tuple[str, str], Rows] = defaultdict(list)
    ciks = {planted.cik for planted in _of(sandbox, "amended")}
    for record in v1:
        if record["cik"] in ciks and record["timeframe"] == "annual":
            found[record["cik"], record["end_date"]].append(record)
    doubled = [records for records in found.values() if len(records) == 2]
    assert len(doubled) >= 4
    for records in doubled:
        first, second = sorted(records, key=lambda r: r["acceptance_datetime"])
        assert first["filing_date"] < second["filing_date"]
        names = ("revenues", "cost_of_revenue", "costs_and_expenses")
        lines = [r["financials"]["income_statement"] for r in (first, second)]
        changed = {n for n in lines[0] if lines[0][n]["value"] != lines[1][n]["value"]}
        assert changed == {*names, "benefits_costs_expenses"}


def test_stray_labels(sandbox: Sandbox, balance: Rows, v1: Rows) -> None:
    keys = Counter((r["cik"], r["period_end"], r["timeframe"]) for r in balance)
    twice = {key for key, count in keys.items() if count > 1}
    assert {cik for cik, _, _ in twice} == {
        p.cik for p in _of(sandbox, "stray_label") if p.statement == "balance_sheets"
    }
    cik, end, _ = sorted(twice)[-1]
    labels = {
        (r["fiscal_year"], r["fiscal_quarter"])
        for r in balance
        if (r["cik"], r["period_end"], r["timeframe"]) == (cik, end, "quarterly")
    }
    assert {quarter for _, quarter in labels} == {1, 4}
    again = Counter((r["cik"], r["end_date"]) for r in v1 if r["timeframe"] == "quarterly")
    assert {cik for (cik, _), count in again.items() if count > 1} == {
        planted.cik for planted in _of(sandbox, "two_codes")
    }


def test_splits_adjust_v2_and_not_v1(income: Rows, v1: Rows) -> None:
    def v2_of(end: str) -> dict[str, Any]:
        return next(
            r
            for r in income
            if (r["cik"], r["period_end"], r["timeframe"]) == ("0009000017", end, "quarterly")
        )

    def v1_of(end: str) -> Any:
        record = next(
            r
            for r in v1
            if (r["cik"], r["end_date"], r["timeframe"]) == ("0009000017", end, "quarterly")
        )
        return record["financials"]["income_statement"]

    before, after = v1_of("2021-03-31"), v1_of("2022-03-31")
    assert (
        v2_of("2021-03-31")["basic_shares_outstanding"]
        == 10 * before["basic_average_shares"]["value"]
    )
    assert v2_of("2022-03-31")["basic_shares_outstanding"] == after["basic_average_shares"]["value"]
    assert v2_of("2021-03-31")["basic_earnings_per_share"] == pytest.approx(
        before["basic_earnings_per_share"]["value"] / 10, abs=0.006
    )  # fmt: skip


def test_missing_periods_are_listed(sandbox: Sandbox, v1: Rows) -> None:
    statements = ("balance_sheets", "cash_flow", "income_statements")
    have = {
        (s, r["cik"], r["period_end"])
        for s in statements
        for r in sandbox.rows("v2", s)
        if r["timeframe"] == "quarterly"
    }
    gone = {p.cik for p in _of(sandbox, "delisted")}
    early = {p.cik for p in _of(sandbox, "early_dates_off")}
    missing = {
        (s, r["cik"], r["end_date"])
        for r in v1
        for s in statements
        if r["timeframe"] == "quarterly" and r["cik"] not in gone | early
    } - have
    assert missing == {(p.statement, p.cik, p.period_end) for p in _of(sandbox, "missing_period")}


def test_week_based_and_other_fiscal_years(v1: Rows) -> None:
    months = {r["end_date"][5:7] for r in v1 if r["timeframe"] == "annual"}
    assert {"12", "09", "06", "03"} <= months
    weeks = [date.fromisoformat(r["end_date"]) for r in v1 if r["cik"] == "0009000033"]
    assert {day.weekday() for day in weeks} == {5}


def test_a_name_that_looks_like_markup(v1: Rows) -> None:
    assert '<b>Sons</b> & "Co" Sandbox' in {r["company_name"] for r in v1}


def test_the_same_arguments_give_the_same_bytes() -> None:
    first, second = (Sandbox(companies=20, start=date(2022, 1, 1)) for _ in range(2))
    other = Sandbox(companies=20, start=date(2022, 1, 1), seed=8)
    path = "/stocks/financials/v1/income-statements"
    pages = [s.page(path, {}, 0, 50_000)[0] for s in (first, second, other)]
    assert pages[0] == pages[1] != pages[2]


def test_without_quirks_there_is_nothing_to_list() -> None:
    sandbox = Sandbox(companies=10, start=date(2022, 1, 1), quirks=False)
    assert sandbox.planted == []
    ciks = {row["cik"] for row in sandbox.rows("v1")}
    assert ciks == {row["cik"] for row in sandbox.rows("v2", "cash_flow")}
    assert len(ciks) == len(sandbox.tickers) == 10
    v2 = {(r["cik"], r["period_end"], r["timeframe"]): r
          for r in sandbox.rows("v2", "income_statements")}  # fmt: skip
    for record in sandbox.rows("v1"):
        lines = record["financials"]["income_statement"]
        timeframe = record["timeframe"].replace("ttm", "trailing_twelve_months")
        row = v2.pop((record["cik"], record["end_date"], timeframe))
        assert lines["diluted_earnings_per_share"]["value"] == row["diluted_earnings_per_share"]
        assert lines["basic_average_shares"]["value"] == row["basic_shares_outstanding"]
    assert v2 == {}
