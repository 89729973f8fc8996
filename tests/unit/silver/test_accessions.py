"""SEC's number of the filing that a row of the history is from: by v1, or by SEC's own list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from polygon_fundamentals import silver
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.reference.edgar import Edgar, EdgarLimit
from polygon_fundamentals.reference.edgar_cache import EdgarCache, ask, reports_of
from polygon_fundamentals.reference.original_dates import date_periods
from polygon_fundamentals.statements import Generation
from sandbox import Sandbox
from tests.builders.edgar import Clock, settings
from tests.conftest import KEY, client_of
from tests.cutover_world import v1_row
from tests.filled import fill
from tests.unit.silver.feeding import put, v2_balance

V1, V2 = Generation.V1, Generation.V2
CIK = "0000000001"


@dataclass(frozen=True)
class Submissions:
    """SEC's answer about one company: accession, form, filed and period of each report."""

    reports: tuple[tuple[str, str, str, str], ...]

    def submissions(self, cik: str) -> bytes:
        """Return the answer."""
        names = ("accessionNumber", "form", "filingDate", "reportDate")
        lists = dict(zip(names, map(list, zip(*self.reports, strict=True)), strict=True))
        recent = lists | {"isXBRL": [1] * len(self.reports)}
        return json.dumps({"cik": cik, "name": "ABC", "filings": {"recent": recent}}).encode()

    def company_facts(self, cik: str) -> None:
        """Return nothing: facts are not asked for."""

    def older_page(self, name: str) -> None:
        """Return nothing: there are no older pages."""


def accessions(lake: Lake, generation: Generation) -> list[str | None]:
    return silver.history_table(lake, generation)["accession_number"].to_pylist()


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([("01", "10-Q", "2024-05-10", "2024-03-31")], "01"),
        # The day's report on the row's own period; and none of two on it.
        (
            [
                ("01", "10-K", "2024-05-10", "2024-12-31"),
                ("02", "10-Q", "2024-05-10", "2024-03-30"),
            ],
            "02",
        ),
        (
            [
                ("01", "10-Q", "2024-05-10", "2024-03-31"),
                ("02", "10-Q/A", "2024-05-10", "2024-03-31"),
            ],
            None,
        ),
        # A later report that repeats the period, and one of an earlier period, which cannot.
        ([("01", "10-Q", "2024-05-10", "2025-03-31")], "01"),
        ([("01", "10-K", "2024-05-10", "2023-12-31")], None),
        # Of another day.
        ([("01", "10-Q", "2024-05-09", "2024-03-31")], None),
    ],
)
def test_which_report_of_secs_list_it_is(
    lake: Lake, reports: list[tuple[str, str, str, str]], expected: str | None
) -> None:
    put(lake, V2, v2_balance("2024-05-10", 100.0), "2024-06-01T12:00")
    whole = tuple((f"0000000001-24-0000{number}", *rest) for number, *rest in reports)
    EdgarCache(lake).update(Submissions(whole), CIK, date(2026, 7, 1), with_facts=False)
    assert accessions(lake, V2) == [expected and f"0000000001-24-0000{expected}"]


def test_v1s_own_number_goes_first_and_follows_the_latest_filing(lake: Lake) -> None:
    url = "https://api.polygon.io/v1/reference/sec/filings/"
    for filed, number, at in (("2024-05-10", 7, "2024-05-11"), ("2024-09-10", 8, "2024-09-11")):
        row = v1_row(CIK, "ABC", ("2024-03-31", filed, 1), float(number))
        row["source_filing_url"] = f"{url}0000000009-24-{number:06d}"
        put(lake, V1, row, f"{at}T12:00")
    reports = (("0000000001-24-000001", "10-Q", "2024-05-10", "2024-03-31"),)
    EdgarCache(lake).update(Submissions(reports), CIK, date(2026, 7, 1), with_facts=False)
    assert accessions(lake, V1) == ["0000000009-24-000007", "0000000009-24-000008"]


@pytest.mark.slow
def test_both_sources_agree_in_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path / "lake")
    with Sandbox(companies=30, api_key=KEY, start=date(2022, 1, 1), today=date(2024, 7, 1)) as box:
        monkeypatch.setenv("EDGAR_IDENTITY", "Jane Doe jane@example.com")
        monkeypatch.setenv("EDGAR_DATA_URL", box.url)
        box.edgar.per_second = 10_000
        fill(lake, box, box.tickers[:6])
        clock = Clock()
        edgar = Edgar(settings(), EdgarLimit(lake, settings(), clock=clock, sleep=clock.sleep))
        cache, ciks = EdgarCache(lake), sorted(box.edgar.reports())
        of_v1 = silver.history_table(lake, V1).to_pandas()
        assert ask(cache, edgar, ciks, date(2024, 7, 1), with_facts=False).note is None
    dated = of_v1[of_v1["filing_date"].notna()]
    assert dated["accession_number"].notna().all()
    listed = {
        (cik, row["filing_date"], row["accession"])
        for cik in ciks
        if (entry := cache.filings(cik)) is not None
        for row in entry.rows.to_pylist()
    }
    of_v2 = silver.history_table(lake, V2).to_pandas()
    known = of_v2[(of_v2["generation"] == "v2") & of_v2["accession_number"].notna()]
    assert len(known) > 0.9 * (of_v2["generation"] == "v2").sum() > 100
    for table in (dated, known):
        keys = table[["cik", "filing_date", "accession_number"]].itertuples(index=False, name=None)
        assert set(keys) <= listed


def test_a_row_whose_first_filing_sec_dates_is_known_by_sec(lake: Lake) -> None:
    put(lake, V2, v2_balance("2024-09-10", 100.0), "2024-09-11T12:00")
    reports = (
        ("0000000001-24-000001", "10-Q", "2024-05-10", "2024-03-31"),
        ("0000000001-24-000002", "10-Q/A", "2024-09-10", "2024-03-31"),
    )
    cache = EdgarCache(lake)
    cache.update(Submissions(reports), CIK, date(2026, 7, 1), with_facts=False)
    with Sandbox(companies=1, api_key=KEY) as box:
        counts = date_periods(lake, client_of(box), ["ABC"], partial(reports_of, cache))
    assert counts["edgar"] == 1
    names = ["known_from", "known_to", "values_known_from", "knowledge", "accession_number"]
    rows = silver.history_table(lake, V2).select(names).to_pylist()
    assert [tuple(map(str, row.values())) for row in rows] == [
        ("2024-05-10", "None", "2024-09-10", "sec", "0000000001-24-000002"),
    ]
