"""The rows of `status` and its exit code, for lakes of which none is a reason for an alarm."""

from __future__ import annotations

import pytest

from polygon_fundamentals.lake import Lake
from tests.builders.commands import call
from tests.builders.status_lakes import LAKES

# What stands before each row; `--`: not judged, `.`: not there. One column per lake, in the order
# of LAKES.
EXPECTED = """
    fresh twelve thousand retired cut-over cleaned-up nightly once  alone
    --    ok     --       ok      ok       ok         ok      ok    --     pointer
    --    ok     ok       ok      --       ok         ok      ok    --     v1 endpoint
    --    ok     --       ok      ok       --         ok      ok    --     v1 balance_sheets
    --    ok     --       ok      ok       --         ok      ok    --     v1 cash_flow
    --    ok     --       ok      ok       --         ok      ok    --     v1 income_statements
    --    ok     --       ok      ok       ok         ok      ok    ok     v2 balance_sheets
    --    ok     --       ok      ok       ok         ok      ok    ok     v2 cash_flow
    --    ok     --       ok      ok       ok         ok      ok    ok     v2 income_statements
    --    ok     ok       --      --       --         ok      ok    --     v1 daily update
    --    ok     ok       ok      ok       ok         ok      ok    ok     v2 daily update
    --    ok     ok       ok      ok       ok         ok      ok    ok     refresh
    .     .      .        .       .        .          ok      .     .      verify
    .     .      .        .       .        .          ok      --    .      silver
    .     ok     ok       .       .        .          ok      ok    .      both succeeded in a row
    --    .      .        --      --       --         .       .     --     v2 succeeded in a row
    .     --     --       .       .        .          --      --    .      run time v2 / v1
    --    --     --       --      .        .          --      --    --     storage v2 / v1
    --    --     ok       --      --       --         --      --    --     download of 1,000 tickers
    --    --     ok       --      --       --         --      --    --     requests per minute
    --    ok     --       ok      ok       ok         ok      ok    ok     v2's storage of one year
    --    ok     ok       ok      ok       ok         ok      ok    ok     peak memory
    --    ok     ok       ok      ok       ok         ok      ok    ok     daily update done after
    --    ok     ok       ok      ok       ok         ok      --    --     parity
"""


def expected_rows(place: int) -> list[tuple[str, str]]:
    """Return (mark, name of the row) of a lake."""
    lines = [line.split(maxsplit=len(LAKES)) for line in EXPECTED.strip().splitlines()[1:]]
    return [(marks[place], marks[-1].strip()) for marks in lines if marks[place] != "."]


SLOW = {"twelve companies"}  # loaded from the sandbox


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in LAKES]
)
def test_no_lake_that_is_well_is_a_reason_for_an_alarm(name: str, lake: Lake) -> None:
    LAKES[name](lake)
    code, shown = call("status", "--lake", str(lake.root))
    marks = {True: "ok", False: "!", None: "--"}
    rows = [(marks[row["ok"]], row["name"]) for row in shown["rows"]]
    assert rows == expected_rows(list(LAKES).index(name))
    assert (code, shown["ok"], shown["warnings"]) == (0, True, [])
    assert shown["not_judged"] == [row for mark, row in rows if mark == "--"]
