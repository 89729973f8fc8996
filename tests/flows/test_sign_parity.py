"""Signing parity as a user does: run, sign, load something new, sign again."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from flows import switching
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call
from tests.conftest import KEY
from tests.filled import change_rows, fill, set_column

FIELD = "net_cash_from_investing_activities_continuing_operations"


@pytest.fixture
def contacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "contacts.toml"
    file.write_text(
        '[migration_lead]\nname = "Ada"\n'
        '[sign_offs]\nparity = ["migration_lead"]\ntraining = ["migration_lead"]\n'
    )
    monkeypatch.setattr(switching, "CONTACTS", file)


def add_cents(lake: Lake, cents: float) -> None:
    """Move the first value of v2 by less than the tolerance: a finding that may stand."""

    def moved(table: object) -> list[object]:
        first, *others = table[FIELD].to_pylist()  # type: ignore[index]
        return [round(first) + cents, *others]

    change_rows(lake, Generation.V2, Statement.CASH_FLOW, set_column(FIELD, moved), first_only=True)


def line(lake: Lake) -> tuple[bool | None, str]:
    _, answer = call("checklist", "--lake", str(lake.root))
    [item] = [step for step in answer["steps"] if step["name"] == "sign-offs"]
    return item["ok"], item["detail"]


@pytest.mark.usefixtures("contacts")
@pytest.mark.slow
def test_parity_is_signed_and_signed_again_after_something_new(lake: Lake) -> None:
    with Sandbox(companies=2, seed=3, api_key=KEY, quirks=False, start=date(2024, 1, 1)) as server:
        fill(lake, server, server.tickers)
        where = ["--lake", str(lake.root), "--base-url", server.url]
        code, answer = call("sign-off", "parity", "--by", "Ada", *where)
        assert (code, "parity has not been run" in answer["error"]) == (2, True)

        assert call("parity", *where)[0] == 0
        assert call("sign-off", "training", "--by", "Ada", *where)[0] == 0
        code, signed = call("sign-off", "parity", "--by", "Ada", *where)
        assert code == 0
        ok, detail = line(lake)
        assert ok, detail
        assert "training: Ada on " in detail
        assert "'Training: 45 minutes on the sandbox' (sha256 " in detail
        assert signed["steps"][0]["detail"].removeprefix("signed ") in detail
        before = detail

        # The same again.
        assert call("parity", *where)[0] == 0
        assert line(lake) == (True, before)

        # It passes, and has something that was not there when Ada signed.
        add_cents(lake, 0.25)
        code, answer = call("parity", *where)
        assert (code, answer["differences"]["rounding"]) == (0, 1)
        ok, detail = line(lake)
        assert not ok
        assert "has new cases: 1 rounding" in detail
        assert call("sign-off", "parity", "--by", "Ada", *where)[0] == 0
        assert line(lake)[0]

        # Better again.
        add_cents(lake, 0.0)
        code, answer = call("parity", *where)
        assert (code, "rounding" in answer["differences"]) == (0, False)
        assert line(lake)[0]
