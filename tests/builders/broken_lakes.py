"""A lake broken in one place, for each rule of parity: just that rule may fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.plugin import rules, values
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.datasets.schemas import schema
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement
from tests.filled import change_rows, set_column

CF, V1, V2 = Statement.CASH_FLOW, Generation.V1, Generation.V2
NOT_COMPARED = "other_cash_adjustments"


def first_ticker(lake: Lake) -> str:
    return sorted({ticker for _, ticker, _ in lake.dataset(V2, CF).files()})[0]


def lose_ticker(lake: Lake) -> None:
    change_rows(lake, V2, CF, lambda t: t.slice(0, 0), first_ticker(lake))


def lose_period(lake: Lake) -> None:
    def change(table: pa.Table) -> pa.Table:
        gone = pc.and_(
            pc.equal(table["period_end"], pa.scalar(date(2024, 6, 30))),
            pc.equal(table["timeframe"], "quarterly"),
        )
        return table.filter(pc.invert(gone))

    assert change_rows(lake, V2, CF, change, first_only=True) == -1


CONTINUING = "net_cash_from_investing_activities_continuing_operations"


def wrong_value(lake: Lake) -> None:
    def wrong(table: pa.Table) -> list[object]:
        first, *others = table[CONTINUING].to_pylist()
        return [first * 1.37, *others]

    change_rows(lake, V2, CF, set_column(CONTINUING, wrong), first_only=True)


def lose_field(lake: Lake) -> None:
    """v2 has no value of a line, of which v1 has too few periods to make it a rule."""
    change_rows(lake, V2, CF, set_column(CONTINUING, lambda t: [None] * len(t)))
    files = lake.dataset(V1, CF).files()
    paths = [lake.dataset(V1, CF).file(partition, ticker) for partition, ticker, _ in files]
    rows = pa.concat_tables(pq.ParquetFile(path).read() for path in paths)
    quarters = rows.filter(pc.equal(rows["timeframe"], "quarterly"))["end_date"]
    newest = pa.array(sorted(set(quarters.to_pylist()))[-2:])

    def keep_newest(table: pa.Table) -> pa.Table:
        quarterly = pc.equal(table["timeframe"], "quarterly")
        return table.filter(pc.and_(quarterly, pc.is_in(table["end_date"], newest)))

    change_rows(lake, V1, CF, keep_newest)


def lose_line_of_one_company(lake: Lake) -> None:
    change = set_column("net_cash_from_operating_activities", lambda t: [None] * len(t))
    change_rows(lake, V2, CF, change, first_ticker(lake))


def empty_records(lake: Lake) -> None:
    """The records of one company keep their labels alone."""
    amounts = [f.name for f in schema(V2, CF) if pa.types.is_floating(f.type)]
    for name in amounts:
        change_rows(lake, V2, CF, set_column(name, lambda t: [None] * len(t)), first_ticker(lake))


def second_content(generation: Generation, name: str, value: Any) -> Callable[[Lake], None]:
    """Append the first row once more, with one thing changed that nobody compares."""

    def breaks(lake: Lake) -> None:
        def change(table: pa.Table) -> pa.Table:
            other = set_column(name, lambda t: [value] * len(t))(table.slice(0, 1))
            return pa.concat_tables([table, other])

        assert change_rows(lake, generation, CF, change, first_only=True) == 1

    return breaks


def nest(lake: Lake) -> None:
    """Another tool's file: without our mark, and with the nested column of v1."""
    dataset = lake.dataset(V2, CF)
    partition, ticker, _ = min(dataset.files(), key=lambda f: (f[1], f[0]))
    path = dataset.file(partition, ticker)
    table = pq.ParquetFile(path).read()
    nested = pa.array([{"cash_flow_statement": {"x": 1.0}}] * len(table))
    pq.write_table(table.append_column("financials", nested), path)


def break_identity(lake: Lake) -> None:
    change = set_column(NOT_COMPARED, lambda t: [7_654_321.0] * len(t))
    change_rows(lake, V2, CF, change, first_only=True)


def file_on_no_day(lake: Lake) -> None:
    change_rows(lake, V2, CF, set_column("filing_date", lambda t: [None] * len(t)), first_only=True)


def file_tomorrow(lake: Lake) -> None:
    day = today_in_new_york() + timedelta(days=1)
    change_rows(lake, V2, CF, set_column("filing_date", lambda t: [day] * len(t)), first_only=True)


def file_before_the_end(lake: Lake) -> None:
    def before(table: pa.Table) -> list[object]:
        return [end - timedelta(days=1) for end in table["period_end"].to_pylist()]

    change_rows(lake, V2, CF, set_column("filing_date", before), first_only=True)


def file_before_v1(lake: Lake) -> None:
    """v2 claims that each period of a company was filed on the day after its end."""

    def early(table: pa.Table) -> list[object]:
        return [end + timedelta(days=1) for end in table["period_end"].to_pylist()]

    change_rows(lake, V2, CF, set_column("filing_date", early), first_ticker(lake))


def lag_behind(lake: Lake) -> None:
    """v1 has its newest period once more, from a filing that v2 has not taken in."""

    def amended(table: pa.Table) -> pa.Table:
        newest = table.filter(pc.equal(table["filing_date"], last))
        labelled = set_column("fiscal_year", lambda t: ["2001"] * len(t))(newest)
        later = set_column("filing_date", lambda t: [last + timedelta(days=60)] * len(t))(labelled)
        return pa.concat_tables([table, later])

    dataset = lake.dataset(V1, CF)
    files = (pq.ParquetFile(dataset.file(p, t)).read() for p, t, _ in dataset.files())
    last = pc.max(pa.concat_tables(files)["filing_date"]).as_py()
    assert change_rows(lake, V1, CF, amended) >= 1


def tell_periods_twice(lake: Lake) -> None:
    """Every quarter again, a few weeks later, in one file."""
    ticker = first_ticker(lake)
    dataset = lake.dataset(V2, CF)
    rows = pa.concat_tables(
        pq.ParquetFile(dataset.file(p, t)).read() for p, t, _ in dataset.files() if t == ticker
    )
    rows = rows.filter(pc.equal(rows["timeframe"], "quarterly"))
    shifted = set_column(
        "period_end", lambda t: [d - timedelta(days=40) for d in t["period_end"].to_pylist()]
    )(rows)
    shifted = set_column("fiscal_year", lambda t: [None] * len(t))(shifted)
    change_rows(lake, V2, CF, lambda t: pa.concat_tables([t, shifted]), ticker, first_only=True)


def label_a_year_late(lake: Lake) -> None:
    def later(table: pa.Table) -> list[object]:
        return [year + 1 for year in table["fiscal_year"].to_pylist()]

    change_rows(lake, V2, CF, set_column("fiscal_year", later), first_ticker(lake))


def double_the_newest_quarter(lake: Lake) -> None:
    """The newest quarter of a company once more, ended three days later."""

    def doubled(table: pa.Table) -> pa.Table:
        quarters = table.filter(pc.equal(table["timeframe"], "quarterly"))
        newest = quarters.filter(pc.equal(quarters["period_end"], pc.max(quarters["period_end"])))
        later = set_column("period_end", lambda t: [d + three for d in t["period_end"].to_pylist()])
        return pa.concat_tables([table, later(newest)])

    three = timedelta(days=3)
    assert change_rows(lake, V2, CF, doubled, first_ticker(lake), first_only=True) == 1


# The rule, what breaks it in the statements of cash flows, what tells it from others of its class,
# and how many rows break it at least.
BREAKS: list[tuple[type, Callable[[Lake], None], str, int]] = [
    (rules.ExpectEveryV1TickerToBeInV2, lose_ticker, "", 1),
    (rules.ExpectEveryV1PeriodToBeInV2, lose_period, "", 1),
    (values.ExpectFindingToStayWithinItsBudget, wrong_value, "restated", 1),
    (rules.ExpectEveryV1TickerToBeInV2, empty_records, "", 1),
    (rules.ExpectFieldNotToBeLost, lose_field, "", 1),
    (values.ExpectFindingToStayWithinItsBudget, lose_line_of_one_company, "lost_in_v2", 1),
    (rules.ExpectRecordKeyToBeUnique, second_content(V1, "source_filing_url", "other"), "v1", 2),
    (rules.ExpectRecordKeyToBeUnique, second_content(V2, "dividends", -4.25), "v2", 2),
    (rules.ExpectV2FileToBeFlat, nest, "", 1),
    (rules.ExpectV2IdentityToHold, break_identity, "change in cash = its flows", 1),
    (rules.ExpectEveryV2RecordToHaveAFilingDate, file_on_no_day, "", 1),
    (rules.ExpectNoFilingDateInTheFuture, file_tomorrow, "", 1),
    (rules.ExpectNoFilingBeforeItsPeriodEnds, file_before_the_end, "", 1),
    (rules.ExpectNoFilingBeforeV1s, file_before_v1, "", 1),
    (rules.ExpectV2NotToLagBehindV1, lag_behind, "", 1),
    (rules.ExpectCountPerTickerToBePlausible, tell_periods_twice, "", 1),
    (rules.ExpectFiscalLabelsToBeV1s, label_a_year_late, "", 2),
    (rules.ExpectPeriodNotToBeDoubled, double_the_newest_quarter, "", 1),
]
