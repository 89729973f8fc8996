"""The rows that the review page shows of a large frame, and the cases of each rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations import review
from expectations.cases import SHOWN, RuleCases, cases_of, write_cases
from expectations.outcome import Outcome, RuleResult
from expectations.plugin import rules
from expectations.templates import template

KINDS = ["restated", "rounding", "null_in_v2", "rounded_by_filer", "value_differs"]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Values with many ties, some without a difference, and tallies; in parts of 100 rows."""
    folder, draws = tmp_path_factory.mktemp("frames"), np.random.default_rng(7)
    rows = 1_000
    texts = {name: draws.choice(["a", "b", "c"], rows) for name in review._TEXTS}
    texts["finding"] = draws.choice(KINDS, rows)
    texts["ticker"] = np.where(draws.random(rows) < 0.1, None, draws.choice(["T", "U"], rows))
    days = {name: pd.to_datetime(draws.integers(0, 9_000, rows), unit="D") for name in review._DAYS}
    values = pd.DataFrame({**texts, **days, "v1_value": draws.integers(-3, 4, rows) * 1.0})
    values["difference"] = np.where(
        draws.random(rows) < 0.2, np.nan, draws.choice([-2.0, -0.0, 0.0, 2.0, np.inf], rows)
    )
    values["v2_value"], values["count"] = values["v1_value"] + values["difference"], 1
    coded = pa.Table.from_pandas(values.drop(columns="accession"), preserve_index=False)
    for position, field in enumerate(coded.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = coded[field.name].cast(pa.string()).dictionary_encode()
            coded = coded.set_column(position, field.name, column)
    pq.write_table(
        coded.replace_schema_metadata(None), folder / "values.parquet", row_group_size=100
    )
    return folder


def test_rows_of_several_parts_come_in_the_order_asked_for(frames: Path) -> None:
    whole = pd.read_parquet(frames / "values.parquet")
    cases = np.random.default_rng(1).permutation(len(whole))[:250]
    shown = review._rows(frames / "values.parquet", cases)
    expected = whole.iloc[cases][list(shown.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(shown, expected, check_categorical=False)
    assert len(review._rows(frames / "values.parquet", cases[:0])) == 0


def labels(folder: Path, companies: int, differing: int) -> list[RuleCases]:
    """The cases of a rule on labels that allows 100 of them in cash flows."""
    rows = {
        "statement": "cash_flow", "ticker": [f"=T{n:03}" for n in range(companies)],
        "company_name": None, "cik": "0000000001", "timeframe": "quarterly", "periods": "all",
        "labelled": 12, "differing": differing, "period_end": pd.Timestamp("2025-03-31"),
        "v2_period_end": pd.Timestamp("2025-03-31"), "v1_label": "2025 Q1", "v2_label": "2025 Q2",
        "share_differing": differing / 12,
    }  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "labels.parquet")
    periods = {"statement": "cash_flow", "state": ["present", "missing", "extra"], **{
        name: "x" for name in rules.CASE}}  # fmt: skip
    pd.DataFrame(periods).to_parquet(folder / "periods.parquet")
    relaxed = rules.ExpectFiscalLabelsToBeV1s(statement="cash_flow", limit=0.5, at_most=100)
    missing = rules.ExpectEveryV1PeriodToBeInV2(
        statement="cash_flow", may_stand={"present": None, "missing": 5, "extra": None}
    )
    results = [
        RuleResult("", kind.title, "", "cash_flow", suite, True, broken, companies, [], "",
                   "At most 100 cases may break the rule.", None, kind.configuration)
        for kind, suite, broken in ((relaxed, "labels", companies), (missing, "periods", 0))
    ]  # fmt: skip
    return cases_of(Outcome(True, tuple(results), {}), folder)


def test_every_case_of_a_rule_that_allows_it_is_counted_and_listed(tmp_path: Path) -> None:
    allowed, missing = labels(tmp_path, companies=60, differing=7)
    assert (len(allowed.rows), len(allowed.shown), len(missing.rows)) == (60, SHOWN, 1)
    assert allowed.shown[0][-4:] == ["2025-03-31", "2025-03-31", "2025 Q1", "2025 Q2"]
    write_cases(tmp_path / "one.csv", [allowed, missing])
    write_cases(tmp_path / "two.csv", labels(tmp_path, companies=60, differing=8))
    one, two = (pd.read_csv(tmp_path / name) for name in ("one.csv", "two.csv"))
    assert one["ticker"].tolist() == [f"'=T{n:03}" for n in range(60)]
    # A period more that differs is no other case.
    pd.testing.assert_frame_equal(one.drop(columns="facts"), two.drop(columns="facts"))
    assert (set(one["cik"]), set(one["case"])) == ({1}, {"timeframe quarterly, periods all"})
    assert one["facts"][0].startswith("labelled 12, differing 7, period_end 2025-03-31")
    source = Path(review.__file__).with_name("review.html").read_text()
    part = source[source.index("{% if rule_cases %}\n<h2") : source.index("{% if findings %}")]
    page = template("review.html").environment.from_string(part)
    drawn = page.render(rule_cases=[allowed, missing], summary={"report_folder": "/r"})
    assert "60 of 60 sets of periods" in drawn
    assert "The first 50 of 60 are below; all are in <code>cases.csv</code> in /r." in drawn
    assert drawn.count("<tr>") == 1 + 50 + 1 + 1


@pytest.mark.parametrize(
    ("compared", "share"),
    [(0, "no value could be compared"), (8, "75.0 % of 8 compared values are equal")],
)
def test_the_answer_says_how_much_was_compared(compared: int, share: str) -> None:
    summary = {"compared": compared, "matched": compared * 3 // 4, "whole": True}
    assert share in review._sentence(summary, Outcome(True, (), {}))
