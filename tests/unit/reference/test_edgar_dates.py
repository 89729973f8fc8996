"""When periods were first filed, by recorded submissions and by the sandbox's."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from polygon_fundamentals.errors import ContentError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.witness_facts import QUARTER, YEAR
from polygon_fundamentals.reference.edgar_cache import EdgarCache, reports_of
from polygon_fundamentals.reference.edgar_dates import Report, first_filings, reports_in
from polygon_fundamentals.reference.edgar_facts import read_facts, read_filings
from polygon_fundamentals.reference.original_dates import (
    EXACT,
    by_source,
    date_periods,
    load_dates,
)
from polygon_fundamentals.settings import Settings
from sandbox import Sandbox
from tests.conftest import KEY
from tests.filled import fill
from tests.unit.parity.planted_faults import DATA, company


def recorded(name: str) -> list[Report]:
    body = (DATA / "submissions" / f"{name}.json").read_bytes()
    return reports_in(read_filings(body, name)[0].to_pandas(date_as_object=True))


def periods(cik: str, ends: list[date], bound: date | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"cik": cik, "period_end": pd.to_datetime(ends)})
    frame["bound"] = pd.NaT if bound is None else pd.Timestamp(bound)
    return frame


@pytest.mark.parametrize(("ticker", "count"), [("AAPL", 44), ("NVDA", 25), ("MRVL", 21)])
def test_the_first_filing_is_that_of_the_earliest_fact(ticker: str, count: int) -> None:
    """Ninety periods of three companies, whose facts know the day from another answer."""
    facts = company(ticker)
    earliest: dict[date, date] = {}
    for period in facts.periods():
        if period.duration in (QUARTER, YEAR):
            for filed in facts.filed(period).values():
                days = [f.filed for f in filed if f.form.startswith(("10-K", "10-Q"))]
                if days:
                    earliest[period.end] = min(days[0], earliest.get(period.end, days[0]))
    reports = recorded(ticker)
    ends = sorted({report.end for report in reports} & set(earliest))
    dates = first_filings(periods("1", ends), lambda _: reports)
    assert len(dates.rows) == count
    assert {end: day for _, end, day, _ in dates.rows} == {end: earliest[end] for end in ends}


def test_a_cik_that_starts_in_the_middle_of_its_history_is_told() -> None:
    # Marvell has a new CIK since 2021; nothing links it to the old one.
    ends = [date(2019, 2, 2), date(2020, 2, 1), date(2021, 7, 31)]
    dates = first_filings(periods("0001835632", ends), lambda _: recorded("MRVL"))
    assert dates.late_ciks == {"0001835632": recorded("MRVL")[0].filed}
    assert [end for _, end, _, _ in dates.rows] == [date(2021, 7, 31)]


def test_older_pages_and_amendments() -> None:
    newer, older = recorded("TSLA"), recorded("TSLA-submissions-001")
    assert max(r.filed for r in older) < min(r.filed for r in newer)
    assert min(r.end for r in older) == date(2010, 6, 30)
    assert not [r for r in (*newer, *older) if r.form.endswith("/A")]
    head = read_filings((DATA / "submissions" / "TSLA.json").read_bytes(), "TSLA")[1]
    assert head.name == "Tesla, Inc."
    assert head.former_names == ("TESLA MOTORS INC",)
    assert [page.name for page in head.older_pages] == ["CIK0001318605-submissions-001.json"]


def test_what_cannot_be_the_first_filing() -> None:
    reports = [
        Report(date(2024, 5, 1), date(2024, 3, 31), "10-Q"),
        Report(date(2024, 8, 1), date(2024, 6, 30), "10-Q"),
        Report(date(2024, 8, 2), date(2024, 6, 25), "10-Q"),
        Report(date(2024, 8, 3), date(2024, 9, 30), "10-Q"),  # typed wrongly: before its end
    ]

    def first(end: date, bound: date | None = None) -> list[date]:
        return [
            d for _, _, d, _ in first_filings(periods("1", [end], bound), lambda _: reports).rows
        ]

    assert first(date(2024, 3, 31)) == [date(2024, 5, 1)]
    assert first(date(2024, 3, 28)) == [date(2024, 5, 1)]  # v1's days of 2009 are some off
    assert first(date(2024, 6, 30)) == [date(2024, 8, 1)]
    assert first(date(2024, 6, 28)) == []  # two ends are as near
    assert first(date(2024, 9, 30)) == []
    assert first(date(2024, 3, 31), bound=date(2024, 4, 30)) == []  # a record was filed before
    assert first_filings(periods("1", [date(2024, 3, 31)]), lambda _: None).rows == []


@pytest.mark.parametrize("body", [b"[]", b'{"facts":{"us-gaap":{"A":{}}}}', b"<html>"])
def test_other_answers_cannot_be_read(body: bytes) -> None:
    with pytest.raises(ContentError, match="CIK1 is not a companyfacts answer"):
        read_facts(body, "CIK1")
    with pytest.raises(ContentError, match="CIK1 is not a submissions answer"):
        read_filings(body, "CIK1")


@pytest.mark.slow
def test_every_period_of_the_sandbox_is_exact(tmp_path: Path) -> None:
    """Late filers, amendments, years of weeks, delisted companies, v1's derived quarters."""
    from polygon_fundamentals.http.client import Client
    from polygon_fundamentals.reference.edgar import Edgar, EdgarLimit
    from polygon_fundamentals.reference.edgar_cache import ask
    from tests.builders.edgar import Clock, settings

    lake = Lake(tmp_path / "lake")
    with (
        Sandbox(companies=46, api_key=KEY, start=date(2018, 1, 1)) as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("EDGAR_IDENTITY", "Jane Doe jane@example.com")
        environment.setenv("EDGAR_DATA_URL", server.url)
        server.edgar.per_second = 10_000
        tickers = [t for t in server.tickers if t in ("GONE", "LOST", "TRUE") or t.endswith("X")]
        fill(lake, server, tickers)
        clock = Clock()
        edgar = Edgar(settings(), EdgarLimit(lake, settings(), clock=clock, sleep=clock.sleep))
        ciks = sorted(server.edgar.reports())
        cache = EdgarCache(lake)
        assert ask(cache, edgar, ciks, date(2026, 7, 1), with_facts=False).note is None
        client = Client(Settings(base_url=server.url), KEY)
        counts = date_periods(lake, client, tickers, partial(reports_of, cache))
        true = {
            (cik, end): day for cik, days in server.edgar.reports().items() for end, day in days
        }
        dates = load_dates(lake)
        exact = dict(by_source(dates))[EXACT]
        assert len(exact) > 1_000
        for (cik, end), day in exact.items():
            assert true[cik, end] == day
        assert counts["unknown"] == counts["index_estimate"] == counts["index"] == 0
        assert counts["edgar"] == counts["periods"]
        assert counts["edgar_v1_only"] > 20  # the delisted ones, which v2 does not have
