"""The v1-shaped view: v2's records read by what reads v1's."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from massive.rest.models.financials import StockFinancial

from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.errors import LakeError, UsageError
from polygon_fundamentals.field_map import entries
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.archived_rows import write_archived
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.listing import FileState
from polygon_fundamentals.lake.paths import Dataset
from polygon_fundamentals.lake.pointer import adopt, point_to
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.normalise import v1_tables, v2_table
from polygon_fundamentals.statements import Generation, Statement
from polygon_fundamentals.v1_view import export, v1_records
from sandbox import Sandbox
from tests.builders.commands import call
from tests.builders.mounts import mounted
from tests.cutover_world import OBSERVED, QUARTERS, fill, load_later, v1_row, v2_row
from tests.unit.silver.feeding import company, feed, put

ALL = list(Statement)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Sandbox]:
    """A company that both generations tell alike, a zero-filled one, and a delisted one.

    v1 is frozen in May 2023, v2 loaded until November.
    """
    lake = Lake(tmp_path_factory.mktemp("export"))
    lake.prepare()
    sandbox = Sandbox(companies=37, start=date(2022, 7, 1), today=date(2023, 5, 20))
    followed = {"ONE": [company(2)], "ZERO": [company(36)], "GONE": [company(16)]}
    feed(sandbox, lake, followed, datetime(2023, 5, 20, 12, tzinfo=UTC))
    sandbox.advance(180)
    feed(sandbox, lake, followed, datetime(2023, 11, 16, 12, tzinfo=UTC), [Generation.V2])
    return lake, sandbox


@pytest.fixture
def frozen(world: tuple[Lake, Sandbox]) -> Lake:
    return world[0]


def test_v1s_values_through_the_vendors_client(world: tuple[Lake, Sandbox]) -> None:
    lake, sandbox = world
    ours = {
        (r["end_date"], r["timeframe"]): r
        for r in export.records(lake, ["ONE", "ZERO"], ALL)
        if r["cik"] == company(2)
    }
    theirs = {
        (r["end_date"], r["timeframe"]): r for r in sandbox.rows("v1") if r["cik"] == company(2)
    }
    assert ours.keys() == theirs.keys()
    compared = 0
    for key, record in ours.items():
        found = StockFinancial.from_dict(record)
        true = StockFinancial.from_dict(theirs[key])
        assert found.cik == true.cik
        assert (found.fiscal_period, found.fiscal_year) == (true.fiscal_period, true.fiscal_year)
        assert found.filing_date == true.filing_date or true.filing_date is None
        for statement in ALL:
            for entry in entries(statement):
                if not export.is_given(entry, differing=False):
                    continue
                mine = getattr(getattr(found.financials, entry.v1_section), entry.v1)
                other = getattr(getattr(true.financials, entry.v1_section), entry.v1)
                if mine.value is None or other.value is None:
                    assert (mine.value or 0) == 0 or other.value is None
                    continue
                assert mine == other
                compared += 1
    assert compared == 264


def test_what_is_left_out_is_listed(world: tuple[Lake, Sandbox]) -> None:
    lake, _ = world
    lost = {item.field: item.reason for item in export.loss(ALL)}
    assert lost["balance_sheet.wages"] == "v2 has no such field"
    assert lost["balance_sheet.long_term_debt"].startswith("v2 defines it differently: v1 includes")
    assert "balance_sheet.assets" not in lost
    one = export.records(lake, ["ONE"], [Statement.BALANCE_SHEETS])[0]["financials"]
    assert one.keys() == {"balance_sheet"}
    assert not {f"balance_sheet.{name}" for name in one["balance_sheet"]} & lost.keys()
    more = export.records(lake, ["ONE"], [Statement.BALANCE_SHEETS], differing=True)[0]
    assert "current_assets" in more["financials"]["balance_sheet"]
    assert "current_assets" not in one["balance_sheet"]
    assert len(export.loss(ALL, differing=True)) < len(lost)


def test_periods_that_only_v1_has_are_given_whole(world: tuple[Lake, Sandbox]) -> None:
    lake, _ = world
    found = export.records(lake, ["GONE"], [Statement.BALANCE_SHEETS])
    assert found
    assert {"wages", "noncurrent_assets"} & found[0]["financials"]["balance_sheet"].keys()
    assert found[0]["company_name"].startswith("Sandbox")


@pytest.mark.slow
def test_a_statement_that_v2_lacks_is_given_whole_beside_v2s_others(lake: Lake) -> None:
    names = ("assets", "noncurrent_assets", "current_assets", "prepaid_expenses")
    lines = {n: {"value": 1.0, "unit": "USD", "label": n, "order": 1} for n in names}
    row = v1_row("0000000001", "ABC", QUARTERS[0], 5.0)
    row["financials"] |= {"balance_sheet": lines}
    for statement in (Statement.BALANCE_SHEETS, Statement.INCOME_STATEMENTS):
        put(lake, Generation.V1, row, "2026-05-02T12:00", statement=statement)
    income = Statement.INCOME_STATEMENTS
    theirs = v2_row("0000000001", "ABC", QUARTERS[0], 1.0, income) | {"gross_profit": 7.0}
    put(lake, Generation.V2, theirs, "2026-05-02T12:00", statement=income)
    (record,) = export.records(lake, ["ABC"], ALL)
    assert (record["generation"], record["company_name"]) == ("v2+v1", "ABC Inc")
    assert record["financials"]["balance_sheet"] == lines
    assert record["financials"]["income_statement"]["gross_profit"]["value"] == 7.0
    counts = export.export_folder(lake, lake.root / "copy", ALL)
    assert counts == {"balance_sheets": 1, "cash_flow": 0, "income_statements": 1}
    # A balance sheet without any money in it is none.
    balance = v2_row("0000000001", "ABC", QUARTERS[0], 0.0, Statement.BALANCE_SHEETS)
    put(lake, Generation.V2, balance, "2026-05-02T12:00", statement=Statement.BALANCE_SHEETS)
    assert export.records(lake, ["ABC"], ALL) == [record]
    balance["total_assets"] = 9.0
    put(lake, Generation.V2, balance, "2026-05-03T12:00", statement=Statement.BALANCE_SHEETS)
    (record,) = export.records(lake, ["ABC"], ALL)
    assert record["financials"]["balance_sheet"].keys() == {"assets"}
    assert record["financials"]["balance_sheet"]["assets"]["value"] == 9.0
    assert record["generation"] == "v2"


def test_the_whole_lake_in_v1s_layout(world: tuple[Lake, Sandbox], tmp_path: Path) -> None:
    lake, _ = world
    target = tmp_path / "copy" / "bronze" / "fundamentals"
    target.parent.mkdir(parents=True)
    counts = export.export_folder(lake, target, ALL)
    path = next((target / "balance_sheets").rglob("ticker=ONE.parquet"))
    assert path.parent.parent.name.startswith("year=20")
    wanted = schema(Generation.V1, Statement.BALANCE_SHEETS)
    assert pq.ParquetFile(path).schema_arrow.names == [*wanted.names, "generation"]
    # What reads v1's lake reads it.
    table = read_dataset(Lake(tmp_path / "copy").dataset(Generation.V1, Statement.BALANCE_SHEETS))
    assert table.num_rows == counts["balance_sheets"] > 0
    assert set(table["ticker"].to_pylist()) == {"ONE", "ZERO", "GONE"}
    with pytest.raises(UsageError, match="give --output a new or empty folder"):
        export.export_folder(lake, target, ALL)


def test_v1s_frozen_history_is_continued_with_v2(frozen: Lake, tmp_path: Path) -> None:
    target = tmp_path / "bronze" / "fundamentals"
    target.parent.mkdir(parents=True)
    export.export_folder(frozen, target, ALL, continue_v1=True)
    for statement in ALL:
        before = read_dataset(frozen.dataset(Generation.V1, statement)).to_pylist()
        files = sorted(target.glob(f"{statement}/*/*/*.parquet"))
        shown = {"v1": 0, "v2": 0}
        ends = set()
        for path in files:
            for row in pq.ParquetFile(path).read().to_pylist():
                shown[row["generation"]] += 1
                if row["generation"] == "v2":
                    ends.add((row["ticker"], row["timeframe"], str(row["end_date"])))
        assert shown["v1"] == len(before)
        # What v1 never had of a listed company: the two quarters after it was frozen.
        assert {e for e in ends if e[1] == "quarterly"} == {
            (ticker, "quarterly", end)
            for ticker in ("ONE", "ZERO")
            for end in ("2023-06-30", "2023-09-30")
        }, statement
        had = {(r["ticker"], r["timeframe"], str(r["end_date"])) for r in before}
        assert not ends & had
    path = target / "income_statements/year=2023/month=08/ticker=ONE.parquet"
    (row,) = (r for r in pq.ParquetFile(path).read().to_pylist() if r["timeframe"] == "quarterly")
    assert (row["generation"], row["fiscal_period"], str(row["end_date"])) == (
        "v2",
        "Q2",
        "2023-06-30",
    )
    assert row["financials"]["income_statement"]["gross_profit"]["unit"] == "USD"


@pytest.mark.slow
@pytest.mark.parametrize("continue_v1", [True, False])
def test_companies_are_exported_some_at_a_time_with_the_same_result(
    frozen: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, continue_v1: bool
) -> None:
    """A market's rows take more memory than a machine has."""
    really, held = v1_records.stored, list[pa.Table]()

    def stored(*given: Any, **named: Any) -> pa.Table:
        held.append(really(*given, **named))
        return held[-1]

    monkeypatch.setattr(v1_records, "stored", stored)
    statements, contents = [Statement.CASH_FLOW], []
    for name, tickers in (("whole", 100), ("parts", 1)):
        held.clear()
        monkeypatch.setattr(export, "BATCH_TICKERS", tickers, raising=False)
        folder = tmp_path / name
        export.export_folder(frozen, folder, statements, continue_v1=continue_v1)
        files = sorted(folder.rglob("*.parquet"))
        contents.append([(str(path.relative_to(folder)), path.read_bytes()) for path in files])
    assert contents[0] == contents[1]
    assert len(held) == 3
    for table in held:
        assert len(set(table["ticker"].to_pylist())) <= 1
        assert table["ticker"].num_chunks <= 2, "a table for each file"


def test_records_continue_v1_too(frozen: Lake) -> None:
    found = export.records(frozen, ["ONE"], ALL, continue_v1=True)
    marks = {(r["timeframe"], r["end_date"]): r["generation"] for r in found}
    assert marks["quarterly", "2023-03-31"] == "v1"
    assert marks["quarterly", "2023-06-30"] == "v2"
    # v1's own, whole: with lines that v2 cannot give.
    (own,) = (r for r in found if (r["timeframe"], r["end_date"]) == ("quarterly", "2023-03-31"))
    assert own["company_name"].startswith("Sandbox")
    assert "noncurrent_assets" in own["financials"]["balance_sheet"]
    assert {r["generation"] for r in export.records(frozen, ["ONE"], ALL)} == {"v2"}


def copy_on_v2(lake: Lake, folder: Path) -> Lake:
    """Return a copy of a lake whose pointer leads to v2."""
    copy = Lake(folder)
    shutil.copytree(lake.root, copy.root)
    adopt(copy)
    point_to(copy, Generation.V2)
    return copy


def archive(lake: Lake) -> None:
    """Keep v1's records and remove its folder, as `cleanup` does."""
    for statement in ALL:
        dataset = lake.dataset(Generation.V1, statement)
        write_archived(dataset, read_dataset(dataset))
    shutil.rmtree(lake.bronze / "fundamentals_v1_archive")


def written(lake: Lake, folder: Path) -> list[Any]:
    """Export a lake; return the records of the folder."""
    counts = export.export_folder(lake, folder, ALL)
    rows = [
        (str(path.relative_to(folder)), row)
        for path in sorted(folder.rglob("*.parquet"))
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    assert len(rows) == sum(counts.values())
    return rows


@pytest.mark.slow
def test_an_archived_v1_is_given_as_it_was_before(frozen: Lake, tmp_path: Path) -> None:
    lake = copy_on_v2(frozen, tmp_path / "lake")
    records = export.records(lake, ["ONE", "GONE"], ALL)
    rows = written(lake, tmp_path / "before")
    archive(lake)
    assert export.records(lake, ["ONE", "GONE"], ALL) == records
    assert written(lake, tmp_path / "after") == rows
    gone = next(r for r in records if r["generation"] == "v1")
    assert gone["company_name"].startswith("Sandbox")
    assert "noncurrent_assets" in gone["financials"]["balance_sheet"]
    # What an older release loaded afterwards stands in for the kept record.
    path = next((frozen.pointer / "balance_sheets").rglob("ticker=GONE.parquet"))
    place = lake.bronze / "fundamentals_v1_archive" / path.relative_to(frozen.pointer)
    place.parent.mkdir(parents=True)
    shutil.copy2(path, place)
    assert written(lake, tmp_path / "torn") == rows


def test_v1_that_moves_under_an_export_costs_no_record(
    frozen: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = copy_on_v2(frozen, tmp_path / "lake")
    before = v1_records.stored(lake, Statement.CASH_FLOW)
    real = v1_records.states
    calls = []

    def changed(dataset: Dataset, *_: object) -> list[FileState]:
        found = real(dataset)
        calls.append(len(found))
        if len(calls) == 1:
            path = dataset.file(found[-1].partition, found[-1].ticker)
            path.rename(path.with_name("ticker=ELSE.parquet"))
        elif len(calls) == 2:
            archive(lake)
        return found

    monkeypatch.setattr(v1_records, "states", changed)
    found = v1_records.stored(lake, Statement.CASH_FLOW)
    assert len(calls) == 3
    assert calls[2] == 0
    assert found.num_rows == before.num_rows


def test_v1_that_moves_each_time_is_told(frozen: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [FileState(202301, "NOWHERE", 1, 1)]
    monkeypatch.setattr(v1_records, "states", lambda *_: gone)
    with pytest.raises(LakeError, match="moved each of the 10 times that they were read"):
        v1_records.stored(frozen, Statement.CASH_FLOW)


def test_of_two_companies_under_a_ticker_only_the_one_that_v2_lacks_is_v1s(lake: Lake) -> None:
    quarter = QUARTERS[0]
    both = ("0000000001", "0000000002")
    rows = [v1_row(cik, "MU", quarter, value) for cik, value in zip(both, (1.0, 2.0), strict=True)]
    for statement in ALL:
        v2 = v2_table([v2_row(both[1], "MU", quarter, 222.0, statement)], statement, OBSERVED)
        for generation, table in (
            (Generation.V1, v1_tables(rows, OBSERVED)[statement]),
            (Generation.V2, v2),
        ):
            places = {"MU": range(table.num_rows)}
            incoming = Incoming(table, places, Scope.WINDOW, frozenset(), OBSERVED)
            commit(lake.dataset(generation, statement), incoming)
    found = export.records(lake, ["MU"], [Statement.BALANCE_SHEETS])
    shown = [
        (r["cik"], r["generation"], r["financials"]["balance_sheet"]["assets"]["value"])
        for r in found
    ]
    assert shown == [(both[0], "v1", 1.0), (both[1], "v2", 222.0)]
    # The folder as a link to an empty one.
    (lake.root / "empty").mkdir()
    link = lake.root / "link"
    link.symlink_to("empty")
    # v2's revenue means something else, so that its income statement has no line to give.
    counts = {"balance_sheets": 2, "cash_flow": 2, "income_statements": 1}
    assert export.export_folder(lake, link, ALL) == counts
    assert link.is_symlink()
    assert len(list(link.rglob("ticker=MU.parquet"))) == 3


def test_a_mounted_folder_takes_an_export(lake: Lake, tmp_path: Path) -> None:
    with mounted(tmp_path / "out", megabytes=9) as folder:
        export.export_folder(fill(lake), folder, ALL)
        assert sorted(path.name for path in folder.iterdir()) == sorted(ALL)
        assert list(folder.rglob("ticker=AAA.parquet"))


@pytest.mark.slow
def test_a_lake_whose_cache_cannot_be_written_is_exported(lake: Lake) -> None:
    load_later(fill(lake))
    assert list((lake.ops / "revisions").rglob("ticker=AAA.parquet"))
    found = export.records(lake, ["AAA"], ALL)
    assert len(found) == 4
    shutil.rmtree(lake.ops / "cache")
    (lake.ops / "cache").write_bytes(b"")
    assert export.records(lake, ["AAA"], ALL) == found


def test_an_archived_history_is_not_continued(frozen: Lake, tmp_path: Path) -> None:
    lake = copy_on_v2(frozen, tmp_path / "lake")
    archive(lake)
    with pytest.raises(
        LakeError, match=r"nothing of v1 to be continued; bring it back with .*restore"
    ):
        export.records(lake, ["ONE"], ALL, continue_v1=True)
    with pytest.raises(LakeError, match="nothing of v1 to be continued"):
        export.export_folder(lake, tmp_path / "new", ALL, continue_v1=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("dates", "kind"), [("text", "string"), ("date", "date32[day]")])
def test_an_empty_folder_is_filled_with_dates_as_text_as_v1s_readers_had_them_or_as_dates(
    lake: Lake, tmp_path: Path, dates: str, kind: str
) -> None:
    target = tmp_path / "as_v1"
    target.mkdir()
    before = target.stat().st_ino
    export.export_folder(fill(lake), target, ALL, dates=dates)
    assert target.stat().st_ino == before
    assert sorted(path.name for path in target.iterdir()) == sorted(ALL)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    files = list(target.rglob("*.parquet"))
    assert {str(pq.read_schema(f).field("end_date").type) for f in files} == {kind}
    days = {str(day) for f in files for day in pq.ParquetFile(f).read()["end_date"].to_pylist()}
    assert days == {end for end, _, _ in QUARTERS}


def stored_in(
    lake: Lake, generation: Generation, statement: Statement, rows: list[dict[str, Any]]
) -> None:
    """Upsert rows of ZZZ, which hold its statement, into the lake."""
    if generation is Generation.V1:
        table = v1_tables(rows, OBSERVED)[statement]
    else:
        table = v2_table(rows, statement, OBSERVED)
    places = {"ZZZ": range(table.num_rows)}
    commit(
        lake.dataset(generation, statement),
        Incoming(table, places, Scope.WINDOW, frozenset(), OBSERVED),
    )


def lines_of(record: dict[str, Any]) -> dict[str, float]:
    return {
        f"{section}.{name}": line["value"]
        for section, lines in record["financials"].items()
        for name, line in lines.items()
    }


@pytest.mark.parametrize("continue_v1", [False, True])
def test_two_records_of_a_period_keep_their_filing_dates_and_values(
    lake: Lake, continue_v1: bool
) -> None:
    """Under two labels; or one label, whose statements come from two filings of one day."""
    filed = QUARTERS[0][1]
    one = v1_row("0000000001", "ZZZ", QUARTERS[0], 1.0)
    other = one | {
        "filing_date": "2025-08-01",
        "fiscal_year": "2024",
        "fiscal_period": "Q4",
        "financials": {"balance_sheet": {"assets": {"value": 500.0, "unit": "USD"}}},
    }
    amended = one | {
        "acceptance_datetime": f"{filed}T23:00:00Z",
        "financials": {"cash_flow_statement": {"net_cash_flow": {"value": 7.0, "unit": "USD"}}},
    }
    for statement in ALL:
        rows = [one, other] if statement is Statement.BALANCE_SHEETS else [one]
        stored_in(lake, Generation.V1, statement, rows)
    stored_in(lake, Generation.V1, Statement.CASH_FLOW, [amended])
    shown = [
        (r["filing_date"], r["fiscal_year"], r.get("acceptance_datetime"), lines_of(r))
        for r in export.records(lake, ["ZZZ"], ALL, continue_v1=continue_v1)
    ]
    assert [t[:3] for t in shown] == [
        (filed, "2025", None),
        (filed, "2025", f"{filed}T23:00:00Z"),
        ("2025-08-01", "2024", None),
    ]
    assert shown[0][3]["balance_sheet.assets"] == 1.0
    assert not [name for name in shown[0][3] if name.startswith("cash_flow")]
    assert [t[3] for t in shown[1:]] == [
        {"cash_flow_statement.net_cash_flow": 7.0},
        {"balance_sheet.assets": 500.0},
    ]


@pytest.mark.parametrize("first", ["2025-05-02", None])
@pytest.mark.parametrize("filed", ["2025-05-02", "2025-08-01"])
def test_what_v2_adds_to_v1s_record_is_part_of_it(
    lake: Lake, filed: str, first: str | None
) -> None:
    """Of a later filing of v2's the lake knows, from v1, when the period was first filed."""
    one = v1_row("0000000001", "ZZZ", QUARTERS[0], 1.0) | {"filing_date": first}
    for statement in (Statement.CASH_FLOW, Statement.INCOME_STATEMENTS):
        stored_in(lake, Generation.V1, statement, [one])
    quarter = (QUARTERS[0][0], filed, 1)
    row = v2_row("0000000001", "ZZZ", quarter, 9.0, Statement.BALANCE_SHEETS)
    stored_in(lake, Generation.V2, Statement.BALANCE_SHEETS, [row])
    shown = [
        (r.get("filing_date"), r["generation"], lines_of(r).get("balance_sheet.assets"))
        for r in export.records(lake, ["ZZZ"], ALL, continue_v1=True)
    ]
    assert shown == [(first, "v2+v1", 9.0)]


def test_a_balance_that_v2_dates_otherwise_is_v2s(lake: Lake) -> None:
    """The row has the date of the income statement, and one statement that only v1 has."""
    one = v1_row("0000000001", "ZZZ", QUARTERS[0], 1.0)
    for statement in (Statement.CASH_FLOW, Statement.BALANCE_SHEETS):
        stored_in(lake, Generation.V1, statement, [one])
    end, filed, _ = QUARTERS[0]
    for statement, day in (
        (Statement.INCOME_STATEMENTS, end),
        (Statement.BALANCE_SHEETS, f"{end[:8]}29"),
    ):
        row = v2_row("0000000001", "ZZZ", (day, filed, 1), 9.0, statement)
        stored_in(lake, Generation.V2, statement, [row])
    [record] = export.records(lake, ["ZZZ"], ALL, differing=True)
    assert record["end_date"] == end
    assert {name.split(".")[0]: value for name, value in lines_of(record).items()} == {
        "balance_sheet": 9.0,
        "cash_flow_statement": 1.0,
        "income_statement": 9.0,
    }


def test_of_a_ticker_that_is_not_there_the_load_of_v2_is_named(lake: Lake) -> None:
    """It named a load of v1, which answers 410."""
    lake.prepare()
    code, answer = call("export", "--shape", "v1", "--ticker", "ZZZZ", "--lake", str(lake.root))
    assert code == 1
    assert "historical-load --generation v2 --tickers ZZZZ`" in answer["error"]
