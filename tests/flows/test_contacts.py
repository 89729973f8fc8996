"""Failed runs and `status` name the people of deployments/contacts.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import contacts
from flows.__main__ import main
from flows.parity import parity
from flows.status import status
from polygon_fundamentals.lake import Lake
from tests.builders.commands import call
from tests.builders.ledger import entry
from tests.builders.status_lakes import days_before_today, running_well

ADA = '[migration_lead]\nname = "Ada Lovelace"\nemail = "ada@example.com"\n'
TOLD = "tell Ada Lovelace <ada@example.com> (migration lead)"


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "contacts.toml"
    file.write_text(ADA)
    monkeypatch.setattr(contacts, "CONTACTS", file)
    return file


def test_nobody_is_named_where_the_file_names_nobody() -> None:
    assert contacts.whom_to_tell() == ""


@pytest.mark.usefixtures("prefect_server")
def test_a_failed_run_names_them(lake: Lake, people: Path) -> None:
    state = parity(lake=str(lake.root / "none"), return_state=True)
    assert state.is_failed()
    assert str(state.message).endswith(TOLD)
    people.write_text("no TOML")
    state = parity(lake=str(lake.root / "none"), return_state=True)
    assert str(state.message).endswith(f"nobody can be named to contact: {people} cannot be read")


@pytest.mark.usefixtures("prefect_server")
def test_status_names_them_beside_an_alarm_alone(
    lake: Lake, people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running_well(lake)
    main(["status", "--lake", str(lake.root)])
    assert "Ada" not in capsys.readouterr().out
    started = f"{days_before_today(1)[0]}T20:00:00+00:00"
    entry(lake, "p", flow="parity", outcome="failed", passed=False, started=started)
    assert main(["status", "--lake", str(lake.root)]) == 1
    assert "Ada Lovelace <ada@example.com>" in capsys.readouterr().out
    assert call("status", "--lake", str(lake.root))[1]["contacts"] == TOLD
    assert str(status(lake=str(lake.root), return_state=True).message).endswith(TOLD)
    assert people.exists()
