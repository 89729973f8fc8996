"""accepted.yaml outlives its own writer: comments, entries, and two people at the same time."""

from __future__ import annotations

import contextlib
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.parity import accepted_file
from polygon_fundamentals.parity.accepted_file import write_accepted
from polygon_fundamentals.parity.tolerances import load_accepted

SHIPPED = Path(__file__).parents[3] / "expectations" / "accepted.yaml"
COMMENTED = """\
# Differences of the migration; each accepted: see ticket 123.
accepted:
  # The merger of 2024, all of it:
  - statement: income_statements
    cik: "0000320193"
    timeframe: annual
    period_end: 2024-09-30
    v2_field: revenue
    v1_value: 1
    v2_value: 2
    reason: Looked at the 10-K/A.
    by: Ada
    until: 2027-09-30  # ask Grace before
  # Its second half:
  - {statement: income_statements, cik: "0000320193", timeframe: annual,
     period_end: 2024-09-30, v2_field: cost_of_revenue, v1_value: 1, v2_value: 2,
     reason: Looked at the 10-K/A., by: Ada, until: 2027-09-30}
# The end.
"""


def entry(field: str, **values: object) -> dict[str, object]:
    return {
        "statement": "income_statements", "ticker": "AAPL", "cik": "0000320193",
        "timeframe": "annual", "period_end": date(2024, 9, 30), "v2_field": field,
        "v1_value": 1.0, "v2_value": 2.0, "reason": "Looked at the filing: fine.",
        "by": "Ada", "until": date(2027, 9, 30), **values,
    }  # fmt: skip


def written(folder: Path, text: str, *entries: dict[str, object]) -> tuple[Path, list[str]]:
    path = folder / "accepted.yaml"
    path.write_text(text, encoding="utf-8")
    assert write_accepted(path, entries) == len(entries)
    return path, [f"{one.v2_field} {one.v2_value:g}" for one in load_accepted(path)]


def test_comments_stay_with_their_entries(tmp_path: Path) -> None:
    changed = entry("revenue", v2_value=3.0, reason="Looked at it again.")
    path, values = written(tmp_path, COMMENTED, entry("gross_profit"), changed)
    assert values == ["revenue 3", "cost_of_revenue 2", "gross_profit 2"]
    text = path.read_text()
    comments = [line.strip() for line in COMMENTED.splitlines() if "#" in line]
    assert [line.strip() for line in text.splitlines() if "#" in line] == comments
    before, _, after = text.partition("# Its second half:")
    assert ("v2_field: revenue" in before, "10-K/A" in before) == (True, False)
    assert COMMENTED[COMMENTED.index("  - {") :] in after
    # In other words again, this time of the one in braces.
    path, values = written(tmp_path, text, entry("cost_of_revenue", v2_value=4.0))
    assert values == ["revenue 3", "cost_of_revenue 4", "gross_profit 2"]
    assert [line.strip() for line in path.read_text().splitlines() if "#" in line] == comments


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (SHIPPED.read_text(), ["revenue 2"]),
        ("# each accepted: see ticket 123\naccepted: []\n", ["revenue 2"]),
        ("accepted: []  # none yet\n# The end.\n", ["revenue 2"]),
        ("# nothing but a comment\n", ["revenue 2"]),
        ("", ["revenue 2"]),
        ("# Each was looked at.\naccepted:\n# The last one was removed.\n", ["revenue 2"]),
        ("# Nothing is accepted.\n{}  # yet\n", ["revenue 2"]),
        ("~", ["revenue 2"]),
        ('"accepted": []', ["revenue 2"]),
        (
            "accepted: [{statement: income_statements, cik: '0000000001', timeframe: annual, "
            "period_end: 2024-12-31, v2_field: gross_profit, v1_value: 5, v2_value: 6, "
            "reason: Looked at it., by: Ada, until: 2027-01-01}]  # in one line\n",
            ["gross_profit 6", "revenue 2"],
        ),
    ],
)
def test_a_list_in_any_form_takes_an_entry(tmp_path: Path, text: str, values: list[str]) -> None:
    path, stand = written(tmp_path, text, entry("revenue"))
    assert stand == values
    comments = [line[line.index("#") :] for line in text.splitlines() if "#" in line]
    assert [c for c in comments if c not in path.read_text()] == []


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    assert write_accepted(tmp_path / "mine.yaml", [entry("revenue")]) == 1
    assert len(load_accepted(tmp_path / "mine.yaml")) == 1


def test_what_cannot_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(COMMENTED)
    with pytest.raises(UsageError, match="reason: String should have at least 10 characters"):
        write_accepted(path, [entry("revenue", reason="fine")])
    monkeypatch.setattr(accepted_file, "_edited", lambda text, *_: text + "- lost\n")
    with pytest.raises(UsageError, match="is in a form that cannot be added to"):
        write_accepted(path, [entry("gross_profit")])
    assert path.read_text() == COMMENTED


def test_two_people_at_the_same_time_lose_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text("accepted: []\n")
    both_have_read = threading.Barrier(2)
    read: Any = accepted_file.load_accepted

    def then_wait(file: Path) -> Any:
        entries = read(file)
        # It breaks where the other one waits for the lock, as it should.
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_read.wait(0.3)
        return entries

    monkeypatch.setattr(accepted_file, "load_accepted", then_wait)
    fields = ("revenue", "gross_profit")
    people = [
        threading.Thread(target=write_accepted, args=(path, [entry(field)])) for field in fields
    ]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert sorted(one.v2_field for one in load_accepted(path)) == sorted(fields)
