"""Both generations from servers over HTTP: what was planted there is found, as what it is.

The sandbox knows neither the field map nor the comparison; its list of oddities and plants is
what the findings are held against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.field_map import Relation, Unit, primary_pairs
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.load.companies import resolve_companies
from polygon_fundamentals.load.historical import load_v1, load_v2
from polygon_fundamentals.load.loader import Loader
from polygon_fundamentals.load.query import Filters
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.parity.plan import Question
from polygon_fundamentals.parity.run import names_to_look_up, v1_tickers
from polygon_fundamentals.parity.tolerances import load_tolerances
from polygon_fundamentals.parity.totals import Parity, merge
from polygon_fundamentals.reference.tickers import known_tickers
from polygon_fundamentals.statements import Generation, Statement, Timeframe
from sandbox import Sandbox
from tests.conftest import KEY, client_of
from tests.filled import Change, change_rows, comparison, set_column

TOLERANCES = load_tolerances(TOLERANCES_FILE)
TODAY = date(2026, 7, 1)
FRAMES = Filters(timeframes=tuple(Timeframe))
Key = tuple[str, str, str, str, str]
# What each oddity of the sandbox is called by the comparison; those not here are no difference.
ODDITIES = {
    "split_adjusted": "split_adjusted",
    "rounded_by_filer": "rounded_by_filer",
    "bank": "bank_net_of_interest",
    "v1_breaks_identity": "v1_breaks_identity",
}
# Lines that differ by definition, are absent or derived stand wherever they do; see the map.
EVERYWHERE = {"line_definition", "derived_quarter", "absent_zero", "null_in_v1", "null_in_v2"}
# kind on the server → finding. A tenth more, 0.40 dollars more, gone, minus, a thousandth, …
PLANTS = {
    "wrong_value": "unexplained",
    "within_tolerance": "rounding",
    "missing_field": "lost_in_v2",
    "flipped_sign": "sign",
    "scale": "scale",
    "restated": "restated",
}
# A bank, share classes, splits, rounded figures, v1's own fault, delisted, a shared ticker.
FEW = ["FAAX", "SBX.A", "RAAX", "TAAX", "VAAX", "FBAX", "LOST", "MUX"]


@dataclass
class Market:
    """A server, the lake it was loaded into, and what parity says of that."""

    server: Sandbox
    lake: Lake
    tickers: Sequence[str]

    def load(self, tickers: Sequence[str]) -> None:
        client = client_of(self.server)
        for ticker in tickers:
            load_v1(Loader(client, self.lake), ticker, list(Statement), FRAMES)
        companies = resolve_companies(client, self.lake, list(tickers))
        for statement in Statement:
            load_v2(Loader(client, self.lake), companies, statement, FRAMES)

    def compare(self) -> list[StatementFindings]:
        lacking = names_to_look_up(self.lake, v1_tickers(self.lake))
        client = client_of(self.server)
        known = known_tickers(self.lake, lacking, lambda: client, TODAY).tickers
        question = Question(TOLERANCES, (), known, TODAY)
        return [comparison(self.lake, s, question).findings for s in Statement]


def merged(founds: list[StatementFindings]) -> Parity:
    return merge(found.totals(()) for found in founds)


def findings(founds: list[StatementFindings]) -> dict[Key, str]:
    """CIK instead of ticker: a company is found once, under whichever of its tickers."""
    v = pd.concat([found.frame("values") for found in founds])
    ends = v["period_end"].dt.strftime("%Y-%m-%d")
    keys = zip(v["statement"], v["cik"], v["timeframe"], ends, v["v2_field"], strict=True)
    return dict(zip(keys, v["kind"], strict=True))


def missing(founds: list[StatementFindings]) -> set[tuple[str, str, str, str]]:
    return {
        (period["statement"], period["ticker"], period["timeframe"], str(period["period_end"])[:10])
        for result in merged(founds).results
        for period in result.missing_periods.to_dict("records")
    }


@pytest.fixture(scope="module", params=["few", pytest.param("all", marks=pytest.mark.slow)])
def market(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Market]:
    few = request.param == "few"
    start = date(2023, 1, 1) if few else date(2019, 1, 1)
    with Sandbox(companies=60, start=start, today=TODAY, api_key=KEY) as server:
        lake = Lake(tmp_path_factory.mktemp("servers"))
        lake.prepare()
        found = Market(
            server, lake, [*FEW, "TBAX", "UAAX", "VBAX", "XBAX"] if few else server.tickers
        )
        found.load(found.tickers)
        yield found


@pytest.fixture(scope="module")
def base(market: Market) -> list[StatementFindings]:
    return market.compare()


@pytest.mark.slow
def test_each_oddity_is_found_as_what_it_is_and_nothing_else_is(
    market: Market, base: list[StatementFindings]
) -> None:
    loaded = set(market.tickers)
    oddities = [p for p in market.server.planted if loaded.intersection(p.tickers)]
    expected: dict[str, set[str]] = {}
    for oddity in oddities:
        if oddity.kind in ODDITIES:
            expected.setdefault(ODDITIES[oddity.kind], set()).add(oddity.cik)
    by_kind: dict[str, set[str]] = {}
    for key, kind in findings(base).items():
        by_kind.setdefault(kind, set()).add(key[1])
    # A quarter or a year that begins with a split in it has figures of both counts.
    splits = by_kind.pop("split_adjusted", set())
    assert splits <= expected.pop("split_adjusted")
    assert len(splits) >= 1
    assert {k: v for k, v in by_kind.items() if k not in EVERYWHERE} == expected
    told = set(v1_tickers(market.lake))
    gone = {p.tickers[0] for p in oddities if p.kind == "delisted"} & told
    assert {row.ticker for row in merged(base).absent_tickers.itertuples()} == gone
    assert merged(base).missing_tickers == []
    lacking = {
        (p.statement, p.cik, p.period_end)
        for p in market.server.planted
        if p.kind in ("missing_period", "empty_row") and p.tickers[0] in loaded
    }
    assert len(missing(base)) == len(lacking)


def plant(
    market: Market, base: dict[Key, str], random: Random, each: int
) -> tuple[dict[Key, str], set[str]]:
    """Plant each kind some times in v2; return what is to be found, and the tickers touched.

    Not where something stands already, nor in fourth quarters, of which neither side filed a
    figure: derived_quarter is all that can be said there.
    """
    expected: dict[Key, str] = {}
    touched: set[str] = set()
    rows: set[tuple[str, str, str, str]] = set()
    odd = {p.cik for p in market.server.planted}
    records = {
        s: [
            row
            for row in market.server.rows("v2", s.value)
            if row["cik"] not in odd and {*market.tickers}.intersection(row.get("tickers") or ())
        ]
        for s in Statement
    }
    lines = {
        s: [
            e.v2
            for e in primary_pairs(s)
            if e.unit is Unit.USD and e.relation in (Relation.EXACT, Relation.SIGN_FLIPPED)
        ]
        for s in Statement
    }
    filed_v1 = {
        (row["cik"], row["timeframe"], row["end_date"]): row.get("filing_date") or "9999"
        for row in market.server.rows("v1")
    }
    todo = [kind for kind in PLANTS for _ in range(each)]
    while todo:
        statement = random.choice(list(Statement))
        record: dict[str, Any] = random.choice(records[statement])
        ticker = record["tickers"][0]
        field = random.choice(lines[statement])
        timeframe = record["timeframe"].replace("trailing_twelve_months", "ttm")
        key = (statement.value, record["cik"], timeframe, record["period_end"], field or "")
        fourth = record["fiscal_quarter"] == 4 and timeframe == "quarterly"
        if key in base or not record.get(field) or fourth or key[:4] in rows:
            continue
        market.server.plant(
            todo[-1],
            ticker=ticker,
            statement=statement.value,
            period_end=record["period_end"],
            timeframe=timeframe,
            field=field,
        )
        rows.add(key[:4])
        kind = todo.pop()
        filed = str(TODAY) if kind == "restated" else record["filing_date"]
        # Nothing but a later filing tells a restatement from an error, in either direction;
        # v1 has no filing date for twelve months.
        hint = "restated" if filed > filed_v1.get(key[1:4], "9999") else "unexplained"
        expected[key] = hint if PLANTS[kind] in ("restated", "unexplained") else PLANTS[kind]
        touched.add(ticker)
    return expected, touched


@pytest.mark.slow
def test_what_is_planted_is_found_and_not_one_other(
    market: Market, base: list[StatementFindings]
) -> None:
    server, random = market.server, Random(11)
    before = findings(base)
    each = 2 if len(market.tickers) < 20 else 15
    expected, touched = plant(market, before, random, each)
    lost, left = sorted(touched)[:2]
    # A period that v2 loses; a stray label on another, which is no difference.
    end = max(
        r["period_end"]
        for r in server.rows("v2", "cash_flow")
        if left in (r.get("tickers") or ()) and r["timeframe"] == "annual"
    )
    server.plant("relabel", ticker=left, statement="balance_sheets")
    market.load(sorted(touched))
    # A load does not withdraw a period that is gone whole; only `refresh` does.
    change_rows(market.lake, Generation.V2, Statement.CASH_FLOW, without("annual", end), left)
    founds = market.compare()
    cik = {t: r["cik"] for r in server.rows("v2", "cash_flow") for t in r.get("tickers") or ()}
    gone = ("cash_flow", cik[left], "annual", end)
    wanted = {k: v for k, v in (before | expected).items() if k[:4] != gone}
    assert {k: v for k, v in findings(founds).items() if wanted.get(k) != v} == {}
    assert findings(founds) == wanted
    assert missing(founds) - missing(base) == {("cash_flow", left, "annual", end)}

    # A ticker that v2 loses altogether, and is not delisted.
    for statement in Statement:
        change_rows(market.lake, Generation.V2, statement, lambda t: t.slice(0, 0), lost)
    founds = market.compare()
    assert merged(founds).missing_tickers == [lost]
    assert findings(founds) == {k: v for k, v in wanted.items() if k[1] != cik[lost]}


def without(timeframe: str, end: str) -> Change:
    def change(table: pa.Table) -> pa.Table:
        gone = pc.and_(
            pc.equal(table["timeframe"], timeframe),
            pc.equal(table["period_end"], pa.scalar(date.fromisoformat(end))),
        )
        return table.filter(pc.invert(gone))

    return change


def a_year_on(table: pa.Table) -> list[date | None]:
    days: list[date | None] = pc.add(
        table["filing_date"], pa.scalar(365 * 86_400, pa.duration("s"))
    ).to_pylist()
    return days


@pytest.mark.slow
def test_a_filing_date_is_no_key(tmp_path: Path) -> None:
    """Identical facts under later filing dates: nothing is missing, nothing differs."""
    with Sandbox(companies=3, seed=5, quirks=False, start=date(2023, 1, 1), api_key=KEY) as server:
        lake = Lake(tmp_path)
        lake.prepare()
        market = Market(server, lake, server.tickers)
        market.load(server.tickers)
        before = market.compare()
        for statement in Statement:
            change_rows(lake, Generation.V2, statement, set_column("filing_date", a_year_on))
        after = market.compare()
    assert merged(before).compared == merged(after).compared > 500
    assert findings(before) == findings(after)
    assert missing(after) == set()
