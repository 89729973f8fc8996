"""One declaration a parameter: what the command line, the form and a flow's body make of it."""

from __future__ import annotations

import argparse
import shlex
from datetime import date
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import pytest
from prefect import State

from deployments.register import form
from flows.commands import COMMANDS, GROUPS
from flows.commands.options import parameters_of
from flows.commands.parser import parser
from flows.cutover import cutover as cutover_flow
from flows.daily_update import daily_update
from flows.export import export as export_flow
from flows.fundamentals import fundamentals as fundamentals_flow
from flows.historical_load import historical_load
from flows.parameters.declaration import Flag, Parameters
from flows.parameters.fundamentals import FundamentalsParameters
from flows.parameters.lake import ParityParameters
from flows.parameters.loads import RefreshParameters
from flows.parameters.switch import CutoverParameters
from flows.refresh import refresh as refresh_flow
from flows.rollback import rollback as rollback_flow
from flows.runs import Report, report_of
from flows.signature import takes
from polygon_fundamentals.errors import UsageError

ACTIONS = {
    name: command._actions
    for action in parser("x")._actions
    if isinstance(action, argparse._SubParsersAction)
    for name, command in action.choices.items()
}


class Given(Parameters):
    names: Annotated[list[str], Flag("NAME")]
    day: Annotated[date | None, Flag("--on")] = None
    hidden: int = 3


@takes(Given)
def flow(given: Given) -> Report:
    """Return what was given."""
    return {"names": given.names, "hidden": given.hidden, "exit_code": 0, "message": "done"}


def test_the_signature_is_the_models_and_the_body_gets_a_model() -> None:
    given = signature(flow).parameters
    assert {name: p.default for name, p in given.items()} == {
        "names": given["names"].empty,
        "day": None,
        "hidden": 3,
    }
    assert flow.__doc__ == "Return what was given."
    state: State[object] = flow(["A"], None)
    assert report_of(state) == {"names": ["A"], "hidden": 3, "exit_code": 0, "message": "done"}


def test_values_that_the_model_refuses_end_the_flow_with_one_line() -> None:
    report = report_of(flow(names="A", hidden="x"))
    assert report is not None
    assert report["exit_code"] == 2
    assert report["error"] == (
        "NAME A: input should be a valid list; hidden x: input should be a valid integer, unable "
        "to parse string as an integer"
    )


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        FundamentalsParameters.of(tickers=["A"], fiscal_quarter=5, limit=0)
    assert str(raised.value) == "--fiscal-quarter 5 is not 1 to 4; --limit 0 is not 1 to 50000"


BLANKS = [
    (cutover_flow, "force", "--force"),
    (cutover_flow, "postpone_file", "--postpone-file"),
    (rollback_flow, "accept_parity", "--accept-parity"),
    (cutover_flow, "lake", "--lake"),  # of an unset variable: the default lake was switched
    (rollback_flow, "base_url", "--base-url"),
]


@pytest.mark.parametrize(("flow", "name", "option"), BLANKS, ids=[option for *_, option in BLANKS])
def test_a_blank_text_is_neither_a_reason_nor_a_file_nor_a_lake(
    flow: Any, name: str, option: str
) -> None:
    for blank in ("", "  "):
        report = report_of(flow.fn(**{name: blank}))
        assert report is not None
        assert report["exit_code"] == 2
        assert report["error"] == f"{option} is blank: give it a value, or leave it out"
    asked, absent = form(flow)["properties"][name]["anyOf"]
    assert (asked["minLength"], absent) == (1, {"type": "null"})


@pytest.mark.parametrize("option", ["--reason", "--by"])
def test_a_difference_is_not_accepted_for_a_blank_reason_or_by_nobody(option: str) -> None:
    words = ["accept", "sign", "--ticker", "A", "--reason", "x", "--by", "y", option, " "]
    with pytest.raises(UsageError, match=f"{option} is blank"):
        parameters_of(COMMANDS["accept"].parameters, parser("x").parse_args(words))


def test_a_reason_is_kept_without_the_blanks_around_it() -> None:
    assert CutoverParameters.of(force=" the vendor restated 2019 ").force == (
        "the vendor restated 2019"
    )


OF_TICKERS = {
    name: next(a.option_strings for a in actions if a.dest == "tickers")
    for name, actions in ACTIONS.items()
    if any(a.dest == "tickers" for a in actions)
}
NAMELESS = ("", "  ", ",", " , ")


def test_the_commands_that_take_tickers_are_these() -> None:
    assert sorted(OF_TICKERS) == [
        "accept",
        "daily-update",
        "export",
        "fundamentals",
        "historical-load",
        "parity",
        "ratios",
        "refresh",
    ]


@pytest.mark.parametrize(("name", "options"), OF_TICKERS.items(), ids=OF_TICKERS)
def test_a_list_that_names_no_ticker_is_refused(name: str, options: list[str]) -> None:
    needed = {"accept": "sign --reason x --by y", "export": "--shape v1 --output x"}
    needed["fundamentals"] = "--cik 320193"
    for blank in NAMELESS:
        words = [name, *needed.get(name, "").split(), *options, blank]
        if not options:
            words = [name, blank, *needed[name].split()]
        arguments = parser("x").parse_args(words)
        with pytest.raises(UsageError, match="is blank: name a ticker, such as AAPL, or leave it"):
            parameters_of(COMMANDS[name].parameters, arguments)


@pytest.mark.parametrize("tickers", [[word] for word in NAMELESS] + [["", " "]])
def test_a_form_whose_items_are_blank_is_refused(
    tickers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = report_of(refresh_flow.fn(tickers=tickers, accept_withdrawals=True))
    assert report is not None
    assert report["exit_code"] == 2
    assert report["error"].startswith("--tickers is blank")


@pytest.mark.parametrize("tickers", [None, []])
def test_a_form_without_items_names_none(tickers: list[str] | None) -> None:
    assert RefreshParameters.of(tickers=tickers).names == []


def test_a_blank_beside_a_name_is_passed_over() -> None:
    assert RefreshParameters.of(tickers=["", "AAPL,", " msft "]).names == ["AAPL", "MSFT"]


LISTS = [
    (flow, name)
    for flow in (historical_load, daily_update, refresh_flow, fundamentals_flow)
    for name in ("timeframes", "statements")
] + [(export_flow, "statements")]


@pytest.mark.parametrize(("flow", "name"), LISTS, ids=[f"{f.name} {n}" for f, n in LISTS])
def test_an_emptied_list_is_refused(
    flow: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    required = {"fundamentals": {"tickers": ["A"]}, "export": {"output": "x"}}
    report = report_of(flow.fn(**required.get(flow.name, {}), **{name: []}))
    assert report is not None
    assert report["exit_code"] == 2
    assert report["error"] == f"--{name[:-1]} is empty: name one or more, or leave it out"
    assert form(flow)["properties"][name]["minItems"] == 1


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="tickres x: extra inputs are not permitted"):
        ParityParameters.of(tickres="x")


def test_parameters_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ParityParameters.of(seed=1).seed = 2  # type: ignore[misc]


EXAMPLES = [(name, example) for name, c in COMMANDS.items() for example in c.examples]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[e for _, e in EXAMPLES])
def test_every_example_is_one_of_its_command_and_holds(
    name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickers.txt").write_text("AAPL\n")
    arguments = parser("x").parse_args(shlex.split(example))
    assert arguments.command == name
    parameters_of(COMMANDS[name].parameters, arguments)


def test_every_command_has_an_example_and_a_group() -> None:
    assert [name for name, command in COMMANDS.items() if not command.examples] == []
    assert sum(len(group) for group in GROUPS.values()) == len(COMMANDS)


def test_every_option_says_what_it_does() -> None:
    silent = [
        (name, action.dest)
        for name, actions in ACTIONS.items()
        for action in actions
        if not action.help or action.help.startswith("(") or "Undefined" in action.help
    ]
    assert silent == []


def test_a_command_that_asks_nothing_of_the_api_still_takes_its_address() -> None:
    assert "--base-url" not in next(
        command.format_help()
        for action in parser("x")._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
        if name == "status"
    )
    arguments = parser("x").parse_args(["status", "--base-url", "http://127.0.0.1:1"])
    parameters_of(COMMANDS["status"].parameters, arguments)
