"""What the comparison finds in a market, and in many that differ in one thing each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polygon_fundamentals.parity.compare import StatementParity, compare_statement
from polygon_fundamentals.parity.tolerances import Accepted, load_tolerances
from polygon_fundamentals.parity.totals import Parity, merge
from polygon_fundamentals.reference.tickers import ReferenceTicker
from polygon_fundamentals.statements import Statement
from tests.unit.parity.market import Market, copied, own_cik, own_ticker, side_by_side
from tests.unit.parity.tables import totals_of

TOLERANCES = load_tolerances(Path(__file__).parents[3] / "expectations" / "tolerances.yaml")
TODAY = date(2026, 10, 1)
Key = tuple[str, str, str, str, str]
Reference = dict[str, ReferenceTicker]


@dataclass(frozen=True)
class Compared:
    """What was found in one market."""

    parts: tuple[tuple[Statement, pa.Table, StatementParity], ...]
    accepted: tuple[Accepted, ...] = ()

    @cached_property
    def parity(self) -> Parity:
        """The totals as a report shows them."""
        return merge(totals_of(r, s, v1, self.accepted) for s, v1, r in self.parts)

    @cached_property
    def values(self) -> pd.DataFrame:
        """The values that they count."""
        return pd.concat([result.values for _, _, result in self.parts], ignore_index=True)

    @cached_property
    def findings(self) -> dict[Key, str]:
        """The kind of each of these values."""
        v = self.values
        ends = v["period_end"].dt.strftime("%Y-%m-%d")
        keys = zip(v["statement"], v["ticker"], v["timeframe"], ends, v["v2_field"], strict=True)
        return dict(zip(keys, v["kind"], strict=True))

    def side(self, number: int, accepted: tuple[Accepted, ...]) -> Compared:
        """What was found in one of the markets that stand side by side."""

        def mine(frame: pd.DataFrame) -> pd.DataFrame:
            rows = frame[frame["ticker"].str.startswith(own_ticker("", number))]
            texts = [n for n in ("ticker", "tickers", "detail") if n in rows.columns]
            return rows.assign(
                **{name: rows[name].str.replace(own_ticker("", number), "") for name in texts}
            )

        parts = (
            (
                statement,
                v1.filter(pc.starts_with(v1["ticker"], own_ticker("", number))),
                StatementParity(**{name: mine(frame) for name, frame in vars(result).items()}),
            )
            for statement, v1, result in self.parts
        )
        return Compared(tuple(part for part in parts if len(part[1])), accepted)


def compare(
    market: Market,
    reference: Reference | None = None,
    accepted: tuple[Accepted, ...] = (),
    statements: tuple[Statement, ...] = tuple(Statement),
) -> Compared:
    """What is found in a market."""
    parts = []
    for statement in statements:
        v1, v2 = market.tables(statement)
        result = compare_statement(
            v1, v2, statement, TOLERANCES, reference or {}, accepted, today=TODAY
        )
        parts.append((statement, v1, result))
    return Compared(tuple(parts), accepted)


@dataclass(frozen=True)
class Case:
    """A change of the market, and what else is known when some of its statements are compared."""

    change: Callable[[Market], None]
    statements: tuple[Statement, ...] = tuple(Statement)
    reference: Reference = field(default_factory=dict)
    accepted: tuple[Accepted, ...] = ()


def compare_each(facts: Market, cases: Mapping[str, Case]) -> dict[str, Compared]:
    """What is found after each of some changes of the same facts, by one comparison of all."""
    markets: list[Market] = []
    reference: Reference = {}
    accepted: list[tuple[Accepted, ...]] = []
    for number, case in enumerate(cases.values(), start=1):
        market = copied(facts)
        case.change(market)
        for statement in set(Statement) - set(case.statements):
            market.v1[statement], market.v2[statement] = [], []
        markets.append(market)
        for name, known in case.reference.items():
            cik = known["cik"] and own_cik(known["cik"], number)
            mine = own_cik(name[3:], number) if name.startswith("CIK") else ""
            reference["CIK" + mine if mine else own_ticker(name, number)] = {**known, "cik": cik}
        accepted.append(
            tuple(a.model_copy(update={"cik": own_cik(a.cik, number)}) for a in case.accepted)
        )
    whole = compare(side_by_side(markets), reference, tuple(chain(*accepted)))
    return {
        name: whole.side(number, accepted[number - 1]) for number, name in enumerate(cases, start=1)
    }
