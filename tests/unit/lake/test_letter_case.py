"""Tickers that differ in letter case alone, where the file system does not tell them apart."""

from __future__ import annotations

import pytest

from polygon_fundamentals.errors import LakeError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.commit import Incoming, Scope, commit
from polygon_fundamentals.lake.letter_case import is_ignored
from polygon_fundamentals.lake.read import read_dataset
from polygon_fundamentals.normalise import v2_table
from polygon_fundamentals.statements import Generation, Statement
from tests.cutover_world import OBSERVED, QUARTERS, v2_row

STATEMENT = Statement.BALANCE_SHEETS


def load(lake: Lake, **ciks: str) -> None:
    rows = [v2_row(cik, ticker, QUARTERS[0], 1.0, STATEMENT) for ticker, cik in ciks.items()]
    places = {ticker: [number] for number, ticker in enumerate(ciks)}
    table = v2_table(rows, STATEMENT, OBSERVED)
    incoming = Incoming(table, places, Scope.WINDOW, frozenset(), OBSERVED)
    commit(lake.dataset(Generation.V2, STATEMENT), incoming)


def stored(lake: Lake) -> list[tuple[str, str]]:
    rows = read_dataset(lake.dataset(Generation.V2, STATEMENT)).to_pylist()
    return sorted((row["ticker"], row["cik"]) for row in rows)


def test_where_letter_case_counts_both_are_stored(lake: Lake) -> None:
    load(lake, BRPA="0000000001")
    load(lake, BRpA="0000000002")
    assert not is_ignored(lake)
    assert stored(lake) == [("BRPA", "0000000001"), ("BRpA", "0000000002")]


def test_where_it_does_not_the_second_is_refused_and_all_others_are_stored(lake: Lake) -> None:
    load(lake, BRPA="0000000001")
    # A second name of the same folder: what such a file system shows.
    (lake.root / "BRONZE").symlink_to("bronze")
    assert is_ignored(lake)
    message = r"BRpA cannot be stored beside BRPA: .* does not distinguish upper and lower case"
    with pytest.raises(LakeError, match=message):
        load(lake, BRpA="0000000002", AAA="0000000003")
    assert stored(lake) == [("AAA", "0000000003"), ("BRPA", "0000000001")]
    with pytest.raises(LakeError, match=r"CCpC cannot be stored beside CCPC"):
        load(lake, CCpC="0000000005", CCPC="0000000004")
    load(lake, BRPA="0000000001")
    assert ("CCPC", "0000000004") in stored(lake)
