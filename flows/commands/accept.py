"""The command `accept`: a reviewer's decision about differences, written into accepted.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from flows.parameters.declaration import Flag, Parameters
from flows.parameters.shared import Day, LakeFolder, Text
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.reports import counted
from polygon_fundamentals.settings import existing_lake_root
from polygon_fundamentals.statements import Statement, Timeframe
from polygon_fundamentals.tickers import read_tickers

ACCEPTED_FILE = Path(__file__).parents[2] / "expectations" / "accepted.yaml"
VALID_DAYS = 365
SHOWN = 20


class AcceptParameters(Parameters):
    """Which findings of the last report, why, and who says so."""

    finding: Annotated[
        list[str], Flag("FINDING", help="a kind of finding, such as restated, unless --from-report")
    ] = Field(default_factory=list)
    tickers: Annotated[
        list[str],
        Flag("--ticker", metavar="TICKER", help="any of the company's; required with FINDING"),
    ] = Field(default_factory=list)
    period: Annotated[Day, Flag(metavar="DAY", help="period end", unset="all")] = None
    field: Annotated[str | None, Flag(metavar="FIELD", help="v2's field", unset="all")] = None
    statement: Annotated[
        Statement | None, Flag(metavar="STATEMENT", help="statement", unset="all")
    ] = None
    timeframe: Annotated[
        Timeframe | None, Flag(metavar="TIMEFRAME", help="timeframe", unset="all")
    ] = None
    cik: Annotated[
        str | None, Flag(metavar="CIK", help="company, where a ticker had several", unset="all")
    ] = None
    from_report: Annotated[
        str | None,
        Flag(metavar="FILE", help="instead: a values.csv to which somebody added `reason`"),
    ] = None
    reason: Annotated[Text | None, Flag(metavar="REASON", help="why they are acceptable")] = None
    by: Annotated[Text | None, Flag(metavar="NAME", help="who has looked at them")] = None
    until: Annotated[
        Day,
        Flag(metavar="DAY", help="last day on which it is accepted", unset="a year from now"),
    ] = None
    accepted: Annotated[
        str | None,
        Flag(
            metavar="FILE",
            help="where to write; give it to `parity` as well",
            unset="expectations/accepted.yaml",
        ),
    ] = None
    lake: LakeFolder = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.until is not None and self.until < today_in_new_york():
            raise UsageError(
                f"--until {self.until} has passed: name today or a later day, or leave --until out "
                "to accept for a year"
            )
        if self.from_report:
            if self.finding or self.names or self.reason:
                raise UsageError(
                    "--from-report cannot be combined with FINDING, --ticker or --reason"
                )
        elif not (len(self.finding) == 1 and self.names and self.reason and self.by):
            raise UsageError("give FINDING, --ticker, --reason and --by, or --from-report FILE")
        return self

    @property
    def names(self) -> list[str]:
        """The tickers that are named, each once."""
        return read_tickers(self.tickers, option="--ticker")


def run(given: AcceptParameters, as_json: bool) -> int:
    """Write entries into accepted.yaml; return 0, or 1 where the report has no such finding."""
    from polygon_fundamentals.load.query import as_cik
    from polygon_fundamentals.parity import acceptance
    from polygon_fundamentals.parity.accepted_file import write_accepted

    until = given.until or today_in_new_york() + timedelta(days=VALID_DAYS)
    lake = Lake(existing_lake_root(given.lake))
    report = acceptance.last_report(lake.ops / "parity" / "reports")
    shortened: list[str] = []
    if given.from_report:
        copy = Path(given.from_report)
        entries, shortened = acceptance.entries_of_report(copy, report, given.by, until)
    else:
        case = acceptance.Case(
            given.finding[0],
            given.names,
            given.period,
            given.field,
            given.statement,
            given.timeframe.value if given.timeframe else None,
            as_cik(given.cik) if given.cik else None,
        )
        entries = acceptance.entries_of_case(report, case, str(given.reason), str(given.by), until)
    path = Path(given.accepted or ACCEPTED_FILE)
    count = write_accepted(path, entries)
    if as_json:
        answer = {"accepted": entries, "file": str(path), "shortened": shortened}
        print(json.dumps(answer, default=str))
    else:
        for entry in entries[:SHOWN]:
            print(_in_words(entry))
        if count > SHOWN:
            print(f"and {count - SHOWN:,} more")
        for figure in shortened[:SHOWN]:
            print(f"taken from the report: {figure}")
        print(f"{counted(count, 'difference')} accepted until {until} in {path}; {_again(given)}")
    return 0


def _in_words(entry: Mapping[str, Any]) -> str:
    names = ("ticker", "statement", "timeframe", "period_end", "v2_field")
    v1, v2 = (
        "no value" if entry[name] is None else f"{entry[name]:,.12g}"
        for name in ("v1_value", "v2_value")
    )
    return f"accepted: {' '.join(str(entry[name]) for name in names)}: v1 {v1}, v2 {v2}"


def _again(given: AcceptParameters) -> str:
    return f"run `parity{f' --accepted {given.accepted}' if given.accepted else ''}` again"
