"""The documentation says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from deployments.automations import WEBHOOK_VARIABLE
from expectations.answer import TOLERANCES_FILE
from flows.commands import COMMANDS
from flows.commands.options import parameters_of
from flows.commands.parser import parser
from polygon_fundamentals import settings
from polygon_fundamentals.parity.kinds import Kind
from polygon_fundamentals.parity.tolerances import load_tolerances
from tests.contract.doc_pages import PAGES, ROOT, Command, blocks, commands, exists, paths

PARSER = parser("polygon-fundamentals")
NAMES = frozenset(COMMANDS)
SHOWN = [command for page in PAGES for command in commands(page, NAMES)]
OUR_VARIABLE = r"\b(?:POLYGON|MASSIVE|EDGAR|QUANTLAKE|SERVE_V1)_[A-Z_]+[A-Z]\b"


def test_the_page_on_parity_tells_every_finding_and_its_budget() -> None:
    page = (ROOT / "docs" / "parity.md").read_text()
    budgets = load_tolerances(TOLERANCES_FILE).budgets
    told = dict(re.findall(r"^\| (\w+) \|.*\| (\**\w*\**) \|$", page, re.MULTILINE))
    for kind in Kind:
        assert kind.value in page, kind
        if kind.value in told and kind is not Kind.MATCHED:
            stands = budgets[kind].at_most == "unlimited"
            assert told[kind.value] == ("yes" if stands else "**no**"), kind


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("command", SHOWN, ids=str)
def test_a_command_on_a_page_parses_and_its_parameters_fit(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tickers.txt").write_text("AAPL\n", encoding="utf-8")
    if command.words[0].startswith("--"):  # --help, --version
        assert command.words[0] in PARSER.format_help()
        return
    arguments = PARSER.parse_args(command.words)
    if command.whole:  # in a sentence only the option that it is about is named
        parameters_of(COMMANDS[arguments.command].parameters, arguments)


def test_the_pages_show_commands_and_a_wrong_one_is_seen(tmp_path: Path) -> None:
    assert len(SHOWN) > 60
    assert {command.words[0] for command in SHOWN} > NAMES - {"demo", "sandbox"}
    page = ROOT / "docs" / "made-up.md"
    with pytest.MonkeyPatch.context() as patch:
        text = "    .venv/bin/python -m flows parity --no-such  # why\n\n`missing/file.py`\n"
        patch.setattr(Path, "read_text", lambda *_, **__: text)
        (wrong,) = commands(page, NAMES)
        (path,) = paths(page)
    assert wrong.words == ("parity", "--no-such")
    with pytest.raises(SystemExit):
        PARSER.parse_args(wrong.words)
    assert not exists(path, page)


def test_the_command_is_spelt_one_way_on_every_page() -> None:
    """README says the rule, and shows commands that run in a fresh clone."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [line for line in blocks(readme).splitlines() if "polygon-fundamentals " in line]
    assert shown
    assert [line for line in shown if not line.startswith(".venv/bin/polygon-fundamentals ")] == []
    module = {page.name for page in PAGES if "-m flows" in page.read_text(encoding="utf-8")}
    assert module == {"README.md", "CHANGELOG.md", "cron.md"}, "where it is said to be the same"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    assert [path for path in paths(page) if not exists(path, page)] == []


def test_every_variable_of_the_pages_is_read_and_every_setting_is_in_the_table() -> None:
    source = Path(settings.__file__).read_text(encoding="utf-8")
    read = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(OUR_VARIABLE, node.value)
    }
    # Set by a command for its own length, never by a user.
    read = (read | {WEBHOOK_VARIABLE, "SERVE_V1_KEYS_FILE"}) - {settings.TEMPORARY_SERVER}
    named = {name for page in PAGES for name in re.findall(OUR_VARIABLE, page.read_text())}
    assert named <= read, "a page names a variable that nothing reads"
    table = (ROOT / "docs" / "deploying.md").read_text()
    rows = set(re.findall(rf"^\| `({OUR_VARIABLE})`", table, re.MULTILINE))
    assert rows == read, "the table of settings in docs/deploying.md"


def test_variables_of_prefect_on_the_pages_are_settings_of_prefect() -> None:
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    known = _get_valid_setting_names(Settings) | {"PREFECT_PROFILE"}
    named = {n for page in PAGES for n in re.findall(r"\bPREFECT_[A-Z_]+\b", page.read_text())}
    assert named
    assert named <= known
