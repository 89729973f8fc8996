"""The files that a reviewer keeps."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.field_map import Unit
from polygon_fundamentals.parity.kinds import BUDGETED_KINDS, Kind
from polygon_fundamentals.parity.tolerances import Tolerances, load_accepted, load_tolerances
from polygon_fundamentals.statements import Statement, Timeframe

EXPECTATIONS = Path(__file__).parents[3] / "expectations"
IS = Statement.INCOME_STATEMENTS
TEXT = (EXPECTATIONS / "tolerances.yaml").read_text(encoding="utf-8")


def loaded(folder: Path, text: str) -> Tolerances:
    path = folder / "tolerances.yaml"
    path.write_text(text, encoding="utf-8")
    return load_tolerances(path)


def test_the_shipped_tolerances() -> None:
    shipped = load_tolerances(EXPECTATIONS / "tolerances.yaml")
    limits = [shipped.tolerance(IS, "revenue", unit).limit for unit in Unit]
    assert limits == [1.0, 0.005, 1.0]
    none = {kind for kind in BUDGETED_KINDS if shipped.budgets[kind].at_most == 0}
    assert none == {
        Kind.SIGN,
        Kind.SCALE,
        Kind.V1_BREAKS_IDENTITY,
        Kind.RESTATED,
        Kind.V1_WRONG,
        Kind.V2_WRONG,
        Kind.NOT_RESTATED,
        Kind.UNEXPLAINED,
        Kind.LOST_IN_V2,
        Kind.MISSING,
    }
    assert {b.at_most for b in shipped.budgets.values()} == {0, "unlimited"}


def test_nothing_is_accepted_as_shipped() -> None:
    assert load_accepted(EXPECTATIONS / "accepted.yaml") == ()


def test_a_field_may_have_its_own_limit(tmp_path: Path) -> None:
    field = "{statement: income_statements, v2_field: revenue, limit: 5, reason: Seen by us all.}"
    mine = loaded(tmp_path, TEXT + f"\nfields: [{field}]\n")
    assert mine.tolerance(IS, "revenue", Unit.USD).limit == 5
    assert mine.tolerance(IS, "cost_of_revenue", Unit.USD).limit == 1


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [
        ("limit: 1.00", "limit: 0", ["tolerances.money.limit"]),
        ("limit: 1.00", "limit: .inf", ["tolerances.money.limit"]),
        ("  per_share:", "  per_shares:", ["per_share: Field required", "per_shares: is not a"]),
        ("sign: {at_most: 0", "sign: {at_most: -1", ["budgets.sign: at_most is a count"]),
        ("sign: {at_most: 0", "sign: {at_most: 0.5", ["budgets.sign"]),
        ("sign: {at_most: 0", "sign: {at_least: 0", ["at_most: Field required", "at_least: is"]),
        ("Nothing explains the difference.", "'  '", ["budgets.unexplained.reason"]),
        ("  sign: {", "  signs: {", ["budgets.signs"]),
        ("  extra: {at_most: unlimited, reason: v2 has", "  matched: {at_most: 0, reason: v2 has",
         ["no budget for extra", "matched takes no budget"]),
        ("budgets:", "fields: [{statement: cash_flow, v2_field: revenue, limit: 1, "
         "reason: It is not there.}]\nbudgets:", ["revenue is not compared in cash_flow"]),
        ("budgets:", "budgets: [", ["is not YAML"]),
    ],
)  # fmt: skip
def test_faults_are_told(tmp_path: Path, old: str, new: str, faults: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, TEXT.replace(old, new, 1))
    for fault in faults:
        assert fault in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = TEXT.replace("limit: 1.00", "limit: -1").replace(
        "sign: {at_most: 0", "sign: {at_most: x"
    )
    with pytest.raises(UsageError, match=r"tolerances\.money\.limit.*budgets\.sign"):
        loaded(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_tolerances(tmp_path / "none.yaml")


def test_an_empty_file_has_no_tolerances(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="budgets: Field required"):
        loaded(tmp_path, "")


ENTRY = """\
- statement: income_statements
  cik: "320193"
  timeframe: quarterly
  period_end: 2024-12-28
  v2_field: revenue
  v1_value: 124300000000
  v2_value: null
  reason: The 10-Q/A corrects the total.
  by: A. Reviewer
  until: 2027-03-31
"""


def accepted_file(folder: Path, *entries: str) -> Path:
    path = folder / "accepted.yaml"
    body = "".join("  " + line + "\n" for entry in entries for line in entry.splitlines())
    path.write_text("accepted:\n" + body, encoding="utf-8")
    return path


def test_an_acceptance(tmp_path: Path) -> None:
    [one] = load_accepted(accepted_file(tmp_path, ENTRY))
    assert (one.cik, one.timeframe, one.until) == (
        "0000320193",
        Timeframe.QUARTERLY,
        date(2027, 3, 31),
    )
    assert (one.v1_value, one.v2_value) == (124300000000.0, None)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("revenue", "revenues", "revenues is not compared"),
        ("by: A. Reviewer", "by: ''", "accepted.0.by"),
        ("reason: The 10-Q/A corrects the total.", "reason: fine", "accepted.0.reason"),
        ("until: 2027-03-31", "until: never", "accepted.0.until"),
        ("timeframe: quarterly", "timeframe: weekly", "accepted.0.timeframe"),
        ("by:", "who:", "accepted.0.who"),
        ('"320193"', "0000320177", "write the CIK in quotes"),
    ],
)
def test_a_faulty_acceptance(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        load_accepted(accepted_file(tmp_path, ENTRY.replace(old, new, 1)))


def test_an_acceptance_stands_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is listed 2 times"):
        load_accepted(accepted_file(tmp_path, ENTRY, ENTRY))


def test_a_comma_in_a_reason_without_quotes_is_told_with_the_remedy(tmp_path: Path) -> None:
    field = "{statement: income_statements, v2_field: revenue, limit: 5, reason: Seen, by us all}"
    with pytest.raises(UsageError, match="put quotes around a text in braces that has a comma"):
        loaded(tmp_path, TEXT + f"\nfields: [{field}]\n")
    quoted = field.replace("Seen, by us all", '"Seen, by us all"')
    mine = loaded(tmp_path, TEXT + f"\nfields: [{quoted}]\n")
    assert mine.tolerance(IS, "revenue", Unit.USD).limit == 5
