"""The readers' own figures on the review page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from expectations import readers
from polygon_fundamentals.cutover.reader_checks import Figure, figures_file, write_figures
from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake import Lake

AT = datetime(2026, 6, 12, 22, tzinfo=UTC)


def test_what_differs_comes_first_with_its_change(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert readers.read_figures(lake) is None
    compared = [
        Figure("c", ".A.2024.assets", 200.0, 200.0, agrees=True),
        Figure("c", ".A.2025.assets", 4000.0, 4001.0, agrees=False),
        Figure("c", ".B", None, "new", agrees=False),
    ]
    write_figures(lake, compared, ["c.B: None became 'new'"], AT)
    monkeypatch.setattr(readers, "FIGURES_SHOWN", 2)
    shown = readers.read_figures(lake)
    assert shown is not None
    assert (shown.total, shown.differ, shown.met) == (3, 2, False)
    assert shown.day == "2026-06-12 22:00 UTC"
    first, second = shown.rows
    assert [*first.values()] == [
        "c", "A.2025.assets", "4,000", "4,001", "+1", "+0.025 %", "no",
    ]  # fmt: skip
    assert [*second.values()] == ["c", "B", "–", "new", "–", "–", "no"]


def test_a_large_change_is_written_without_an_exponent(lake: Lake) -> None:
    write_figures(lake, [Figure("c", ".A.2025.assets", 4.0, 5000.0, agrees=False)], [], AT)
    shown = readers.read_figures(lake)
    assert shown is not None
    assert [*shown.rows[0].values()][5] == "+124,900 %"


def test_a_damaged_file_is_one_line(lake: Lake) -> None:
    write_figures(lake, [], [], AT)
    figures_file(lake).write_text("{}")
    with pytest.raises(DamagedFileError, match=r"figures\.json cannot be read; remove it"):
        readers.read_figures(lake)
