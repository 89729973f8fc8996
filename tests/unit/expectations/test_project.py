"""The stored project: the same rules in every lake, opened by Great Expectations alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from expectations import answer as answering
from expectations import project, publishing
from expectations.answer import TOLERANCES_FILE
from expectations.outcome import RuleResult
from expectations.plugin import values
from expectations.project import ProjectError
from expectations.suites import make_suites
from expectations.summary import Asked
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.tolerances import Accepted, load_accepted, load_tolerances
from polygon_fundamentals.statements import Statement, Timeframe
from tests.unit.expectations.checking import TOLERANCES, findings, judged

TODAY = date(2026, 10, 1)
DOCS = Path(__file__).parents[3] / "docs" / "parity-rules.md"


def run(
    lake: Lake, name: str, accepted: Sequence[Accepted] = (), *, named: bool = False
) -> dict[str, Any]:
    founds = findings(lake, list(Statement), TODAY)
    asked = Asked(name, 3, None, None, named, TODAY, False)
    return answering.answer(lake, founds, asked, TOLERANCES, accepted)


@pytest.fixture(scope="module")
def stored(whole_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that parity has been run on; not to be changed."""
    root = tmp_path_factory.mktemp("stored") / "lake"
    shutil.copytree(whole_lake.root, root)
    assert run(Lake(root), "first")["passed"]
    return Lake(root)


@pytest.fixture
def mine(stored: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(stored.root, tmp_path / "mine")
    return Lake(tmp_path / "mine")


def frames_of(lake: Lake) -> Path:
    [folder] = (lake.ops / "parity" / "frames").iterdir()
    return folder


def broken_of(home: Path) -> list[RuleResult]:
    """The rules that the frames in `home` break."""
    return [rule for rule in judged(home) if not rule.passed]


def change(path: Path, name: str, row: int, value: object) -> None:
    table = pq.read_table(path)
    column = table[name].to_pylist()
    column[row] = value
    kind = table.schema.field(name).type
    array = pa.array(column, kind.value_type if pa.types.is_dictionary(kind) else kind)
    position = table.schema.get_field_index(name)
    pq.write_table(table.set_column(position, name, array), path)


def test_a_line_of_the_yaml_changes_just_its_rule(tmp_path: Path) -> None:
    text = TOLERANCES_FILE.read_text()
    line = "unexplained: {at_most: 0, reason: Nothing explains the difference.}"
    assert line in text
    changed = tmp_path / "tolerances.yaml"
    changed.write_text(text.replace(line, line.replace("at_most: 0", "at_most: 7")))
    before, after = (
        {
            rule["id"]: rule
            for suite in make_suites(t, ())
            for rule in suite.to_json_dict()["expectations"]
        }
        for t in (TOLERANCES, load_tolerances(changed))
    )
    [identity] = [i for i in before if before[i] != after[i]]
    assert before.keys() == after.keys()
    assert after[identity]["kwargs"]["finding"] == "unexplained"
    assert after[identity]["kwargs"]["at_most"] == 7
    assert after[identity]["notes"] == [
        "At most 7 'unexplained' are allowed. Nothing explains the difference."
    ]


@pytest.mark.slow
def test_two_lakes_have_the_same_suites(mine: Lake, tmp_path: Path) -> None:
    project.write_project(tmp_path / "gx", make_suites(TOLERANCES, ()), {}, [], tmp_path)
    folder = mine.ops / "parity" / "gx"
    for name in ("expectations", "validation_definitions", "checkpoints"):
        files = sorted(path.name for path in (folder / name).iterdir())
        assert files == sorted(path.name for path in (tmp_path / "gx" / name).iterdir())
        for file in files:
            assert (folder / name / file).read_bytes() == (
                tmp_path / "gx" / name / file
            ).read_bytes()


def append_case(frames: Path, statement: Statement, field: str | None, **case: object) -> None:
    """Append a single row, hashed like one that was compared, to the frame of values."""
    path = frames / "values.parquet"
    table = pq.read_table(path)
    mine = pc.equal(table["statement"], statement.value)
    if field is not None:
        mine = pc.and_(mine, pc.equal(table["v2_field"], field))
    tally = table.filter(mine).slice(0, 1).to_pylist()[0]
    row = {**tally, "ticker": "AAPL", "timeframe": "quarterly", "count": 1, **case}
    hashed = pd.DataFrame([row])[list(values.HASHED)]
    row["row_hash"] = int(pd.util.hash_pandas_object(hashed, index=False)[0])
    added = pa.Table.from_pylist([row], schema=table.schema)
    pq.write_table(pa.concat_tables([table, added]).unify_dictionaries(), path)


@pytest.mark.slow
def test_a_value_that_its_finding_does_not_bear_out_fails(mine: Lake, tmp_path: Path) -> None:
    shutil.copytree(frames_of(mine), tmp_path / "frames")
    figures = {"v1_value": 1.0, "v2_value": 9e9, "difference": 0.2, "finding": "rounding"}
    for statement in Statement:
        append_case(tmp_path / "frames", statement, None, **figures)
    broken = broken_of(tmp_path)
    assert sorted((r.rule, r.where, r.broken) for r in broken) == sorted(
        ("ExpectV2ValueToEqualV1", statement.value, 1) for statement in Statement
    )
    assert {r.cases[0]["v2_value"] for r in broken} == {"9,000,000,000"}


FILED = {"v1_filing_date": pd.Timestamp("2025-05-01"), "v2_filing_date": pd.Timestamp("2026-05-01")}
UNFILED = {"v2_filing_date": pd.Timestamp("2026-05-01")}
ROUNDED = {"v1_value": 8_999_999_400.0}
INCOME, CASH = Statement.INCOME_STATEMENTS, Statement.CASH_FLOW
INVESTING = "net_cash_from_investing_activities_continuing_operations"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("finding", "possible", "impossible"),
    [
        ("line_definition", (INCOME, "operating_income", FILED), (INCOME, "income_taxes", FILED)),
        ("bank_net_of_interest", (INCOME, "revenue", FILED), (INCOME, "gross_profit", FILED)),
        ("derived_quarter", (CASH, INVESTING, UNFILED), (CASH, INVESTING, FILED)),
        (
            "rounded_by_filer",
            (CASH, INVESTING, {"v1_value": 8_999_999_400.0}),
            (CASH, INVESTING, {}),
        ),
    ],
)
def test_a_finding_that_cannot_be_fails_though_its_figures_agree(
    mine: Lake,
    tmp_path: Path,
    finding: str,
    possible: tuple[Statement, str, dict[str, Any]],
    impossible: tuple[Statement, str, dict[str, Any]],
) -> None:
    for name, (statement, field, more) in (("good", possible), ("bad", impossible)):
        shutil.copytree(frames_of(mine), tmp_path / name / "frames")
        case = {"v1_value": 1.0, "v2_value": 9e9, "finding": finding, **more}
        case["difference"] = case["v2_value"] - case["v1_value"]
        append_case(tmp_path / name / "frames", statement, field, **case)
    assert broken_of(tmp_path / "good") == []
    assert [(r.rule, r.detail, r.broken) for r in broken_of(tmp_path / "bad")] == [
        ("ExpectV2ValueToEqualV1", impossible[1], 1)
    ]


NOT_ALLOWED = [
    kind.value
    for kind, budget in TOLERANCES.budgets.items()
    if budget.at_most == 0 and kind.value != "missing"
]


@pytest.mark.parametrize(
    "kind",
    [NOT_ALLOWED[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in NOT_ALLOWED[1:])],
)
def test_a_finding_renamed_to_one_that_may_not_stand_fails(
    mine: Lake, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(frames_of(mine), tmp_path / "frames")
    path = tmp_path / "frames" / "values.parquet"
    frame = pd.read_parquet(path)
    rows = frame[frame["ticker"].notna() & frame["difference"].notna()]
    change(path, "finding", int(rows.index[0]), kind)
    broken = broken_of(tmp_path)
    # The row is not as it was compared either.
    assert [r.rule for r in broken] == [
        "ExpectV2ValueToEqualV1",
        "ExpectFindingToStayWithinItsBudget",
    ]
    assert broken[1].detail == kind


@pytest.mark.slow
def test_great_expectations_alone_gives_the_same_answer(mine: Lake, tmp_path: Path) -> None:
    """The steps of docs/parity-rules.md, in a process that knows nothing of this repository."""
    [code] = [part for part in DOCS.read_text().split("```python\n")[1:] if "get_context" in part]
    code = code.split("```")[0].replace("LAKE", str(mine.root))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "True"
    said = json.loads(
        next((mine.ops / "parity" / "reports").glob("*/checkpoint.json")).read_bytes()
    )
    counts = [r["result"]["unexpected_count"] for suite in said.values() for r in suite["results"]]
    assert f"{len(counts)} rules, {sum(counts)} cases" in done.stdout


@pytest.mark.slow
def test_an_action_that_a_user_added_stays(mine: Lake) -> None:
    stored = mine.ops / "parity" / "gx" / "checkpoints" / "parity.json"
    checkpoint = json.loads(stored.read_text())
    slack = {
        "name": "slack",
        "type": "slack",
        "slack_webhook": "http://127.0.0.1:9/hook",
        "notify_on": "failure",
    }
    checkpoint["actions"].append(slack)
    stored.write_text(json.dumps(checkpoint))
    assert run(mine, "second")["passed"]
    actions = json.loads(stored.read_text())["actions"]
    assert [a["type"] for a in actions] == ["update_data_docs", "slack"]
    assert actions[1]["slack_webhook"] == slack["slack_webhook"]
    # Both runs are in the site, and in the stored results.
    runs = {path.name for path in (mine.ops / "parity" / "gx" / "validations").glob("values/*")}
    assert {name.split("-")[1] for name in runs} == {"first", "second"}


def spoil(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(
    ("spoils", "message"),
    [
        (
            spoil("checkpoints/parity.json", "{"),
            r"parity\.json is not a checkpoint .* move .*gx away",
        ),
        (spoil("great_expectations.yml", "a: ["), r"great_expectations\.yml is not YAML"),
        (spoil("great_expectations.yml", "[]"), r"does not say config_version: 4\.0"),
        (spoil("great_expectations.yml", "config_version: 4.0"), r"has no data_docs_sites"),
        (spoil("format", "99"), r"names format '99', not 1"),
        (
            spoil("checkpoints/parity.json", '{"actions": [{"type": "no such action"}]}'),
            r"cannot be loaded",
        ),
    ],
)
def test_a_project_of_nonsense_is_one_line_and_the_site_stays(
    mine: Lake, spoils: Callable[[Path], None], message: str
) -> None:
    home = mine.ops / "parity"
    spoils(home / "gx")
    before = {p: p.read_bytes() for p in (home / "data_docs").rglob("*") if p.is_file()}
    with pytest.raises(ProjectError, match=message) as caught:
        run(mine, "second")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError)
    assert {p: p.read_bytes() for p in (home / "data_docs").rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_a_run_that_dies_while_it_publishes_leaves_a_whole_site(
    mine: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = mine.ops / "parity"
    index = (home / "data_docs" / "index.html").read_bytes()
    really, written = publishing.replace_file, []

    def dies(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 12:
            raise KeyboardInterrupt
        really(path, data)

    monkeypatch.setattr(publishing, "replace_file", dies)
    with pytest.raises(KeyboardInterrupt):
        run(mine, "second")
    monkeypatch.undo()
    assert (home / "data_docs" / "index.html").read_bytes() == index
    assert next((home / "data_docs").glob("validations/values/*-first/*/*.html")).is_file()
    assert run(mine, "third")["passed"]
    assert len(list((home / "frames").iterdir())) == 1
    assert list(home.glob(".building-*")) == []


def test_review_pages_of_old_runs_are_removed_but_for_the_needed(tmp_path: Path) -> None:
    pages = tmp_path / "data_docs" / "reviews"
    pages.mkdir(parents=True)
    names = [f"20260{1 + day // 28}{1 + day % 28:02}T000000Z-run{day}.html" for day in range(70)]
    for name in names:
        (pages / name).write_text(name)
    with publishing.building(tmp_path, "new") as built:
        copied = sorted(path.name for path in (built / "data_docs" / "reviews").iterdir())
        assert copied == names, "without knowing which are needed, all stay"
    (tmp_path / "frames" / "new").mkdir(parents=True)
    with publishing.building(tmp_path, "new", {"run3", "run69"}) as built:
        (built / "data_docs" / "index.html").write_text("index")
        publishing.publish(built, tmp_path, tmp_path / "frames" / "new")
    left = sorted(path.name for path in pages.iterdir())
    assert left == [names[3], *names[-59:]], "and one is to come"


@pytest.mark.slow
def test_the_page_that_was_signed_outlives_those_of_many_later_runs(
    mine: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publishing, "SUMMARIES_KEPT", 1)

    def pages() -> set[str]:
        folder = mine.ops / "parity" / "data_docs" / "reviews"
        return {path.stem.split("-", 1)[-1] for path in folder.iterdir()}

    given = mine.ops / "cutover" / "sign_offs" / "parity.json"
    given.parent.mkdir(parents=True)
    entry = {"by": "Ada", "at": "2026-06-12T00:00:00+00:00", "signed": {"run": "first"}}
    given.write_text(json.dumps({"migration_lead": entry}))
    run(mine, "second")
    assert pages() == {"first", "second"}
    given.write_text("{")
    run(mine, "third")
    assert pages() == {"first", "second", "third"}
    assert "parity.json cannot be read; remove it and sign off again; until" in caplog.text
    given.unlink()
    run(mine, "fourth")
    assert pages() == {"fourth"}


def test_an_acceptance_that_has_run_out_is_named(tmp_path: Path) -> None:
    path = tmp_path / "accepted.yaml"
    path.write_text(
        "accepted:\n  - {statement: cash_flow, cik: '0000320193', timeframe: quarterly, "
        "period_end: 2024-12-28, v2_field: net_cash_from_operating_activities, "
        "v1_value: 1, v2_value: 2, "
        "reason: Somebody looked., by: A, until: 2026-01-31}\n"
    )
    assert len(load_accepted(path)) == 1
    with pytest.raises(UsageError, match=r"no longer accepted: cash_flow .*until 2026-01-31"):
        load_accepted(path, date(2026, 2, 1))


@pytest.mark.slow
def test_an_acceptance_that_no_longer_applies_is_noted_in_a_whole_run(mine: Lake) -> None:
    gone = Accepted(
        statement=Statement.CASH_FLOW,
        ticker="AAA",
        cik="0000320193",
        timeframe=Timeframe.QUARTERLY,
        period_end=date(2024, 12, 28),
        v2_field="net_cash_from_operating_activities",
        v1_value=1.0,
        v2_value=2.0,
        reason="Somebody looked.",
        by="A",
        until=date(2030, 1, 1),
    )
    note = (
        "accepted.yaml: 1 of its differences no longer occur, such as AAA cash_flow 2024-12-28 "
        "net_cash_from_operating_activities; remove these entries"
    )
    assert note in run(mine, "whole", (gone,))["notes"]
    # Where only some tickers were asked for, the difference may be one of another.
    assert run(mine, "some", (gone,), named=True)["notes"] == []


def test_nothing_of_v1_in_what_was_asked_is_one_line(mine: Lake) -> None:
    empty = Lake(mine.root.parent / "empty")
    empty.prepare()
    with pytest.raises(UsageError, match="v1 has no records of these tickers"):
        run(empty, "first")
    assert not (empty.ops / "parity" / "data_docs").exists()
