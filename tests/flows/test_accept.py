"""`accept`: a finding of a report becomes an entry of accepted.yaml, and parity passes with it."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from expectations import answer
from flows.__main__ import main
from polygon_fundamentals.business_days import today_in_new_york
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.parity.tolerances import load_accepted
from polygon_fundamentals.statements import Generation, Statement
from sandbox import Sandbox
from tests.builders.commands import call
from tests.conftest import KEY
from tests.filled import change_rows, fill

IS = Statement.INCOME_STATEMENTS


def one_more(table: pa.Table) -> pa.Table:
    """Return the rows with another revenue in second quarters."""
    here = pc.and_(
        pc.equal(table["fiscal_quarter"], 2),
        pc.equal(table["timeframe"], "quarterly"),
    )
    column = pc.if_else(here, pc.add(pc.multiply(table["revenue"], 1.37), 11.0), table["revenue"])
    place = table.schema.get_field_index("revenue")
    return table.set_column(place, table.schema.field(place), column)


@pytest.fixture
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of accepted.yaml that parity reads."""
    path = tmp_path / "accepted.yaml"
    shutil.copyfile(answer.ACCEPTED_FILE, path)
    for module in ("flows.commands.accept", "tasks.parity"):
        monkeypatch.setattr(f"{module}.ACCEPTED_FILE", path)
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_parity_passes_once_the_differences_are_accepted(
    lake: Lake, accepted: Path, tmp_path: Path
) -> None:
    with Sandbox(companies=2, seed=3, api_key=KEY, quirks=False, start=date(2025, 1, 1)) as server:
        fill(lake, server, server.tickers)
        change_rows(lake, Generation.V2, IS, one_more)
        here = ["--lake", str(lake.root)]
        code, report = call("parity", *here, "--base-url", server.url)
        assert code == 1
        values = pd.read_csv(report["report_csv"], dtype={"cik": str})
        differences = values[(values["v2_field"] == "revenue") & values["v1_value"].notna()]
        first = differences.iloc[0]
        words = ["--field", "revenue", "--timeframe", "quarterly", "--by", "Ada Lovelace"]
        because = ["--reason", "The filing was looked at."]
        for row in differences.itertuples():
            code, answered = call(
                "accept", row.kind, "--ticker", row.ticker, *words, *because, *here
            )
            assert (code, len(answered["accepted"])) == (0, 1)
        entries = load_accepted(accepted)
        assert {(e.ticker, e.by) for e in entries} == {
            (t, "Ada Lovelace") for t in differences["ticker"]
        }
        assert accepted.read_text().startswith("# Single differences that a reviewer")
        code, answered = call(
            "accept", "sign", "--ticker", first["ticker"], *words, *because, *here
        )
        assert (code, "has no `sign` value of" in answered["error"]) == (1, True)
        # What follows from it, a reviewer accepts in the file.
        values["reason"] = "Follows from the revenue."
        open_kinds = values["kind"].isin(
            set(differences["kind"]) | {"unexplained", "v1_breaks_identity"}
        )
        values[open_kinds].to_csv(tmp_path / "values.csv", index=False)
        file = ["--from-report", str(tmp_path / "values.csv"), "--by", "A. Reviewer", *here]
        assert call("accept", *file)[0] == 0
        theirs = accepted.rename(tmp_path / "theirs.yaml")
        accepted.write_text("accepted: []\n")
        words = ["--base-url", server.url, "--accepted", str(theirs)]
        code, report = call("parity", *here, *words)
        assert f"the accepted differences are those of {theirs}" in report["notes"]
        assert report["differences"]["accepted"] >= len(differences)


def report(folder: Path, **columns: object) -> Path:
    """Write a report with one finding."""
    row = {
        "statement": "income_statements", "ticker": "AAA", "tickers": "AAA,AAA.B",
        "cik": "0000000001",
        "timeframe": "quarterly", "period_end": pd.Timestamp("2025-06-30"), "v2_field": "revenue",
        "v1_value": 1.0, "v2_value": 2.0, "kind": "unexplained", **columns,
    }  # fmt: skip
    path = folder / "ops/parity/reports/20260101T000000Z-a/values.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([row]).to_parquet(path)
    pd.DataFrame([row]).to_csv(path.with_suffix(".csv"), index=False)
    return path


WORDS = ("accept", "unexplained", "--ticker", "AAA", "--reason", "It was looked at.", "--by", "Ada")


def test_an_entry_is_replaced_and_comments_stay(lake: Lake, accepted: Path) -> None:
    report(lake.root)
    here = ["--lake", str(lake.root), "--until", "2099-01-01"]
    before = accepted.read_text()
    assert call(*WORDS, *here)[0] == 0
    report(lake.root, v2_value=3.0)
    assert call(*WORDS, *here)[0] == 0
    [entry] = load_accepted(accepted)
    assert (entry.v1_value, entry.v2_value, entry.until) == (1.0, 3.0, date(2099, 1, 1))
    assert accepted.read_text().startswith(before.removesuffix("accepted: []\n"))
    assert yaml.safe_load(accepted.read_text())["accepted"][0]["cik"] == "0000000001"


def test_a_row_is_accepted_alone_where_every_option_names_it(
    lake: Lake, accepted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A year ends on the day of its last quarter; a symbol may have passed to another company."""
    path = report(lake.root)
    [row] = pd.read_parquet(path).to_dict("records")
    others = ({"timeframe": "annual"}, {"statement": "balance_sheets"}, {"cik": "0000000002"})
    pd.DataFrame([row, *({**row, **other} for other in others)]).to_parquet(path)
    which = ("--period", "2025-06-30", "--field", "revenue", "--timeframe", "quarterly")
    alone = ("--statement", "income_statements", "--cik", "1")
    assert main([*WORDS, *which, *alone, "--lake", str(lake.root)]) == 0
    [entry] = load_accepted(accepted)
    assert (entry.statement, entry.timeframe, entry.cik) == (IS, "quarterly", "0000000001")
    out = capsys.readouterr().out
    assert "accepted: AAA income_statements quarterly 2025-06-30 revenue: v1 1, v2 2\n" in out
    assert "1 difference accepted until " in out


@pytest.mark.parametrize("ticker", ["AAA.B", "BBB,AAA.B", "AAA,AAA.B"])
def test_a_company_is_found_by_any_of_its_tickers(lake: Lake, accepted: Path, ticker: str) -> None:
    """A report and its pages have each value once, under the company's first ticker."""
    report(lake.root)
    assert call(*WORDS[:3], ticker, *WORDS[4:], "--lake", str(lake.root))[0] == 0
    [entry] = load_accepted(accepted)
    assert (entry.ticker, entry.cik) == ("AAA", "0000000001")


def test_a_last_day_that_has_passed_is_refused(lake: Lake, accepted: Path) -> None:
    """With such an entry every parity ended with exit code 2 before it compared anything."""
    report(lake.root)
    today = today_in_new_york()
    here = ("--lake", str(lake.root), "--until")
    code, answered = call(*WORDS, *here, str(today - timedelta(days=1)))
    assert (code, load_accepted(accepted)) == (2, ())
    assert answered["error"] == (
        f"--until {today - timedelta(days=1)} has passed: name today or a later day, or leave "
        "--until out to accept for a year"
    )
    assert call(*WORDS, *here, str(today))[0] == 0
    assert len(load_accepted(accepted, today)) == 1


def test_a_company_without_a_cik_cannot_be_accepted(lake: Lake, accepted: Path) -> None:
    report(lake.root, cik=None)
    code, answered = call(*WORDS, "--lake", str(lake.root))
    assert (code, "the record has no CIK" in answered["error"]) == (2, True)
    assert load_accepted(accepted) == ()


def test_from_a_report_only_rows_with_a_reason(lake: Lake, accepted: Path) -> None:
    path = report(lake.root).with_suffix(".csv")
    words = ("accept", "--from-report", str(path), "--lake", str(lake.root))
    code, answered = call(*words, "--by", "Ada")
    assert (code, "with a column `reason` added" in answered["error"]) == (2, True)
    rows = pd.read_csv(path, dtype={"cik": str})
    rows.assign(reason="").to_csv(path, index=False)
    code, answered = call(*words, "--by", "Ada")
    assert (code, "nothing to accept" in answered["error"]) == (1, True)
    rows.assign(reason="It was looked at.").to_csv(path, index=False)
    code, answered = call(*words)
    assert (code, "give --by" in answered["error"]) == (2, True)
    rows.assign(reason="It was looked at.", by="Ada").to_csv(path, index=False)
    assert call(*words)[0] == 0
    assert [(e.cik, e.by) for e in load_accepted(accepted)] == [("0000000001", "Ada")]


def test_from_a_report_its_values_are_taken_and_not_those_of_a_spreadsheet(
    lake: Lake, accepted: Path
) -> None:
    csv = report(lake.root, v1_value=124301456000.0, v2_value=None).with_suffix(".csv")
    words = ("accept", "--from-report", str(csv), "--by", "Ada", "--lake", str(lake.root))
    whole = pd.read_csv(csv, dtype=str, keep_default_na=False).assign(reason="It was looked at.")
    changes = [
        ({"period_end": "30/06/2025"}, "row 2: the report has no AAA income_statements quarterly"),
        ({"v2_value": "7"}, "row 2: v2_value is empty in the report, not 7"),
        ({"v1_value": "1.24302E+11"}, "row 2: v1_value is 124,301,456,000 in the report, not"),
        ({"kind": "restated"}, "row 2: the finding is unexplained in the report, not restated"),
        ({"v2_field": "revenues"}, "row 2: the report has no AAA"),
    ]
    for other, reason in changes:
        whole.assign(**other).to_csv(csv, index=False)
        code, answered = call(*words)
        assert (code, reason in answered["error"]) == (2, True), answered
    assert load_accepted(accepted) == ()
    whole.assign(cik="1", v1_value="1.24301E+11").to_csv(csv, index=False)
    code, answered = call(*words)
    [entry] = load_accepted(accepted)
    assert (code, entry.v1_value, entry.v2_value) == (0, 124301456000.0, None)
    assert answered["shortened"] == ["row 2: v1_value 1.24301E+11 is 124,301,456,000"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (WORDS[:4], "give FINDING, --ticker, --reason and --by, or --from-report FILE"),
        ((*WORDS, "--from-report", "x"), "--from-report cannot be combined with FINDING"),
    ],
)
def test_what_is_missing_is_said(lake: Lake, words: tuple[str, ...], reason: str) -> None:
    code, answered = call(*words, "--lake", str(lake.root))
    assert (code, reason in answered["error"]) == (2, True)


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        ("restatd", "'restatd' is not a finding; they are rounding, sign, "),
        ("missing", "has no value to accept; to allow it, raise `missing` in expectations/tol"),
    ],
)
def test_what_is_no_finding_on_a_value_is_refused(lake: Lake, finding: str, reason: str) -> None:
    report(lake.root)
    code, answered = call("accept", finding, *WORDS[2:], "--lake", str(lake.root))
    assert (code, reason in answered["error"]) == (2, True), answered


def test_a_finding_that_the_ticker_does_not_have_is_named(lake: Lake) -> None:
    path = report(lake.root)
    code, answered = call("accept", "sign", *WORDS[2:], "--lake", str(lake.root))
    assert code == 1
    assert "the last report has no `sign` value of AAA as named" in answered["error"]
    assert answered["error"].endswith(str(path.with_suffix(".csv")))


def test_without_a_report_there_is_nothing_to_accept(lake: Lake) -> None:
    code, answered = call(*WORDS, "--lake", str(lake.root))
    assert (code, "run `polygon-fundamentals parity` first" in answered["error"]) == (1, True)
