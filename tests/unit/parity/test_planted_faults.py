"""No planted fault is called a change, and nearly every true change is found."""

from __future__ import annotations

import pytest

from polygon_fundamentals.parity.kinds import Kind
from tests.unit.parity.planted_faults import COMPANIES, experiment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tickers", "derived", "true", "found", "planted"),
    [
        (("MRVL",), False, 89, 87, 6_000),
        pytest.param(COMPANIES, False, 386, 378, 47_000, marks=pytest.mark.slow),
        pytest.param(COMPANIES, True, 74, 73, 8_700, marks=pytest.mark.slow),
    ],
)
def test_faults_are_never_called_changes(
    tickers: tuple[str, ...], derived: bool, true: int, found: int, planted: int
) -> None:
    result = experiment(tickers, derived=derived)
    assert result.false_proofs == []
    assert sum(result.true.values()) == true
    assert sum(result.true_found.values()) == found
    assert result.wrongly_accused == 0
    for side, wrong, other in (
        ("v2", Kind.V2_WRONG, Kind.V1_WRONG),
        ("v1", Kind.V1_WRONG, Kind.V2_WRONG),
    ):
        said = [kinds for (_, of), kinds in result.said.items() if of == side]
        assert sum(kinds[wrong] for kinds in said) > 0.85 * planted
        assert sum(kinds[other] for kinds in said) == 0
