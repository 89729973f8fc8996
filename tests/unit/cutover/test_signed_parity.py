"""Signing parity: which run, with what findings, and when it must be signed again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from expectations.cases import RuleCases, write_cases
from expectations.outcome import RuleResult
from expectations.plugin import rules
from expectations.plugin.base import ParityRule
from polygon_fundamentals.cutover import signed_parity
from polygon_fundamentals.cutover.checklist import ChecklistItem, evaluate_checklist
from polygon_fundamentals.cutover.sign_offs import (
    Contacts,
    Person,
    Role,
    load_contacts,
    missing,
    runs_signed,
    sign,
)
from polygon_fundamentals.cutover.thresholds import Thresholds
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.ledger import read_entries
from tests import cutover_world
from tests.builders.parity_report import parity_report

NOW = datetime(2026, 6, 12, 22, tzinfo=UTC)
PEOPLE = Contacts(
    migration_lead=Person(name="Ada"),
    rollback_authority=Person(name="Grace"),
    sign_offs={"parity": ("migration_lead",)},
)
STOOD: list[dict[str, Any]] = [{}, {"v2_value": 3.0}, {"kind": "line_definition"}]


def ran(lake: Lake, run: str, minutes: int, values: Any = (), **more: Any) -> None:
    """Write the report and the ledger entry of a run of parity."""
    at = NOW - timedelta(hours=2) + timedelta(minutes=minutes)
    path = lake.ops / "runs" / f"{at:%Y%m%dT%H%M%S%f}Z-parity-{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    of = {"tickers": more.pop("named", []), **more.pop("parameters", {})}
    entry = {"flow": "parity", "outcome": "succeeded", "started": at.isoformat(), "parameters": of}
    path.write_text(json.dumps({**entry, **parity_report(lake, run, values, **more)}))


def signed(lake: Lake) -> str:
    return sign(lake, PEOPLE, "parity", "Ada", clock=lambda: NOW)


def line(lake: Lake, contacts: Contacts = PEOPLE) -> ChecklistItem:
    checklist = evaluate_checklist(lake, Thresholds(), contacts, v1="live", clock=lambda: NOW)
    return next(item for item in checklist.items if item.name == "sign-offs")


def test_the_run_its_digest_and_its_findings_are_recorded(lake: Lake) -> None:
    ran(lake, "one", 0, STOOD)
    assert not line(lake).ok
    assert line(lake).detail == "missing: parity (migration_lead)"
    page = "ops/parity/data_docs/reviews/20260612T000000Z-one.html"
    assert f"read {page}, then run `polygon-fundamentals sign-off parity" in line(lake).remedy
    ran(lake, "some", 5, STOOD, named=["AAA"])
    assert page in line(lake).remedy
    # The review page of the run to be signed stays, however many runs of named tickers follow.
    assert signed_parity.runs_to_sign(read_entries(lake)[0]) == {"one"}
    told = signed(lake)
    assert runs_signed(lake) == {"one"}
    entry = json.loads((lake.ops / "cutover" / "sign_offs" / "parity.json").read_text())
    facts = entry["migration_lead"]["signed"]
    assert (facts["run"], facts["scope"]) == ("one", "the whole history")
    assert facts["findings"] == {"restated": 2, "line_definition": 1}
    words = (
        "parity: Ada on 2026-06-12, run one of the whole history with 2 restated, "
        f"1 line_definition (sha256 {facts['sha256'][:12]})"
    )
    assert told == f"signed {words}"
    assert (line(lake).ok, line(lake).detail) == (True, words)


@pytest.mark.parametrize(
    ("values", "more", "news"),
    [
        ([*STOOD, {"v2_value": 4.0}], {}, "1 restated"),
        # As many as before, but others.
        ([{}, {"v2_value": 5.0}, STOOD[2]], {}, "1 restated"),
        ([{}, STOOD[1], {"kind": "sign"}], {}, "1 sign"),
        (STOOD, {"missing_periods": ["2025-12-31"]}, "1 missing periods"),
        (STOOD, {"tickers": ["NA"]}, "1 missing tickers"),
        (STOOD, {"rules_broken": ["No field is lost"]}, "1 broken rules"),
        (STOOD, {"relaxed": ["identities: up to 500 (Seen.)"]}, "1 relaxed limits"),
        (STOOD, {"cases": [("AAA", 9), ("NEW", 3)]}, '1 cases of "Labels"'),
    ],
)
def test_something_new_must_be_signed_again(
    lake: Lake, values: Any, more: dict[str, Any], news: str
) -> None:
    ran(lake, "one", 0, STOOD, cases=[("AAA", 8)])
    assert '1 cases of "Labels"' in signed(lake)
    ran(lake, "two", 5, values, **more)
    assert not line(lake).ok
    assert line(lake).detail.endswith(f"but the run of 2026-06-12 20:05 UTC has new cases: {news}")
    if "rules_broken" not in more:
        signed(lake)
        assert line(lake).ok


@pytest.mark.parametrize(
    "more", [{"named": ["XYZ"]}, {"sample": 1}, {"parameters": {"date": "2026-06-01"}}]
)
def test_a_run_of_some_tickers_hides_no_case_of_the_whole(lake: Lake, more: dict[str, Any]) -> None:
    ran(lake, "one", 0, STOOD)
    signed(lake)
    ran(lake, "two", 5, [*STOOD, {"v2_value": 4.0}])
    news = "the run of 2026-06-12 20:05 UTC has new cases: 1 restated"
    assert line(lake).detail.endswith(news)
    ran(lake, "some", 10, **more)
    assert line(lake).detail.endswith(news)
    assert "run two of the whole history" in signed(lake)
    assert line(lake).ok
    next((lake.ops / "parity" / "reports").glob("*-two/summary.json")).unlink()
    assert line(lake).ok
    ran(lake, "three", 15, STOOD)
    next((lake.ops / "parity" / "reports").glob("*-three/summary.json")).unlink()
    assert "the report of the run of 2026-06-12 20:15 UTC is gone" in line(lake).detail


def test_a_new_case_of_a_sample_asks_for_another_signature(lake: Lake) -> None:
    ran(lake, "few", 0, STOOD, sample=100)
    assert "run few of a sample" in signed(lake)
    ran(lake, "more", 5, [*STOOD, {"v2_value": 4.0}], sample=100)
    assert not line(lake).ok
    assert "run more of a sample" in signed(lake)
    ran(lake, "all", 10, [*STOOD, {"v2_value": 4.0}])
    assert line(lake).ok
    ran(lake, "again", 15, [*STOOD, {"v2_value": 5.0}], sample=100)
    assert line(lake).detail.endswith("the run of 2026-06-12 20:15 UTC has new cases: 1 restated")


@pytest.mark.parametrize("values", [STOOD, STOOD[:1], [], [*STOOD, {"kind": "null_in_v1"}]])
def test_the_same_or_better_need_not_be_signed_again(lake: Lake, values: Any) -> None:
    ran(lake, "one", 0, STOOD, missing_periods=["2025-12-31"], tickers=["NA"])
    signed(lake)
    ran(lake, "two", 5, values)
    summary = next((lake.ops / "parity" / "reports").glob("*-two/summary.json"))
    summary_json = json.loads(summary.read_text())
    # It is counted apart, so it is not among the differences.
    summary_json["differences"].pop("null_in_v1", None)
    summary.write_text(json.dumps(summary_json))
    assert line(lake).ok, line(lake).detail


def test_a_sign_off_says_how_much_was_relaxed_and_asks_for_no_more(lake: Lake) -> None:
    ran(lake, "one", 0, STOOD, relaxed=["freshness: a limit of 1000, not 100 (Seen.)"])
    assert "1 line_definition and 1 relaxed limit (sha256" in signed(lake)
    ran(lake, "two", 5, STOOD, relaxed=["freshness: a limit of 1000, not 100 (Seen.)"])
    assert line(lake).ok
    ran(lake, "three", 10, STOOD)
    assert line(lake).ok


def list_v2_cases(lake: Lake, run: str, ticker: str, filed: str, remainder: float) -> None:
    """Write the report's cases of three rules that have one each, as the checkpoint leaves them."""
    record = {
        "statement": "cash_flow", "ticker": ticker, "company_name": "Block", "cik": "0001512673",
        "timeframe": "quarterly", "period_end": pd.Timestamp("2024-06-30"), "record_key": "k",
        "fiscal_year": "2024", "fiscal_period": "2", "filing_date": pd.Timestamp(filed),
        "balance": remainder,
    }  # fmt: skip
    file = {"ticker": "OLD", "file": f"{filed[:4]}{filed[5:7]}/OLD", "fault": "not flat: x"}
    frames: dict[ParityRule, list[dict[str, Any]]] = {
        rules.ExpectV2IdentityToHold(identity="balance"): [record],
        rules.ExpectRecordKeyToBeUnique(generation="v2"): [record, record],
        rules.ExpectV2FileToBeFlat(): [file],
    }
    [report] = (lake.ops / "parity" / "reports").glob(f"*-{run}")
    every = [
        RuleCases(
            RuleResult("", rule.title, "", "cash_flow", "", True, 1, 1, [], "", "", None, None),
            rule,
            rule.cases(pd.DataFrame(rows)),
        )
        for rule, rows in frames.items()
    ]
    write_cases(report / "cases.csv", every)


def test_a_signed_case_stays_when_v2s_filing_date_or_the_ticker_moves(lake: Lake) -> None:
    """v2 dates a record by the latest filing that repeats it."""
    moved = {"ticker": "XYZ", "cik": "0000000001"}
    ran(lake, "one", 0, [{**moved, "ticker": "SQ"}], missing_periods=["2025-12-31"])
    list_v2_cases(lake, "one", "SQ", "2024-08-01", -100.0)
    signed(lake)
    ran(lake, "two", 5, [moved], missing_periods=["2025-12-31"])
    periods = next((lake.ops / "parity" / "reports").glob("*-two/missing_periods.csv"))
    periods.write_text(periods.read_text().replace("AAA", "XYZ"))
    list_v2_cases(lake, "two", "XYZ", "2025-08-05", -100.0)
    assert line(lake).ok, line(lake).detail
    ran(lake, "three", 10, [moved])
    list_v2_cases(lake, "three", "XYZ", "2025-08-05", -101.0)
    assert line(lake).detail.endswith('new cases: 1 cases of "Accounting identities hold in v2"')


def test_a_sign_off_of_an_earlier_version_stands_until_a_rule_has_cases(lake: Lake) -> None:
    ran(lake, "one", 0, STOOD)
    report = next((lake.ops / "parity" / "reports").glob("*-one"))
    signed(lake)
    (report / "cases.csv").unlink()
    [signature] = (lake.ops / "cutover" / "sign_offs").glob("parity-*")
    (signature / "cases.csv").unlink()
    digest = signed_parity._digest(signature)
    signature.rename(signature.with_name(f"parity-{digest[:16]}"))
    file = lake.ops / "cutover" / "sign_offs" / "parity.json"
    entry = json.loads(file.read_text())
    entry["migration_lead"]["signed"]["sha256"] = digest
    file.write_text(json.dumps(entry))
    ran(lake, "two", 5, STOOD)
    assert line(lake).ok, line(lake).detail
    ran(lake, "three", 10, STOOD, cases=[("AAA", 8)])
    assert line(lake).detail.endswith('has new cases: 1 cases of "Labels"')


def test_results_are_kept_when_the_report_goes_and_damage_is_seen(lake: Lake) -> None:
    ran(lake, "one", 0, STOOD)
    signed(lake)
    ran(lake, "two", 5, STOOD)
    signed(lake)
    [signature] = (lake.ops / "cutover" / "sign_offs").glob("parity-*")
    for path in (lake.ops / "parity" / "reports").glob("*-two/*.parquet"):
        path.unlink()
    assert line(lake).ok
    summary = signature / "summary.json"
    text = summary.read_text()
    summary.unlink()
    summary.write_text(text.replace("10", "11"))
    assert not line(lake).ok
    assert "what was signed is no longer in" in line(lake).detail


def test_what_cannot_be_signed(lake: Lake) -> None:
    with pytest.raises(UsageError, match="has not been run; run `polygon-fundamentals parity`"):
        signed(lake)
    ran(lake, "named", 0, STOOD, named=["AAA"])
    with pytest.raises(UsageError, match="has not been run, except on named tickers or as if on "):
        signed(lake)
    ran(lake, "bad", 0, STOOD, rules_broken=["No field is lost"])
    with pytest.raises(UsageError, match=r"\(2026-06-12 20:00 UTC\) did not pass: fix what it"):
        signed(lake)
    ran(lake, "gone", 5, STOOD)
    next((lake.ops / "parity" / "reports").glob("*-gone/tickers.csv")).unlink()
    with pytest.raises(UsageError, match="is incomplete; run `polygon-fundamentals parity` again"):
        signed(lake)
    with pytest.raises(UsageError, match="'Grace' may not sign off 'parity'"):
        sign(lake, PEOPLE, "parity", "Grace")


def test_a_signature_of_an_earlier_version_names_no_run(lake: Lake) -> None:
    ran(lake, "one", 0, STOOD)
    file = lake.ops / "cutover" / "sign_offs" / "parity.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"migration_lead": {"by": "Ada", "at": NOW.isoformat()}}))
    assert line(lake).detail == "missing: parity (migration_lead)"


def test_the_training_is_signed_by_title_and_digest(lake: Lake, tmp_path: Path) -> None:
    contacts = PEOPLE.model_copy(update={"sign_offs": {"training": ("migration_lead",)}})
    page = tmp_path / "training.md"
    with pytest.raises(UsageError, match=r"training\.md, the page that is signed, cannot be read"):
        sign(lake, contacts, "training", "Ada", clock=lambda: NOW, training=page)
    page.write_text("# Training: one hour\n\nRead this.\n")
    sign(lake, contacts, "training", "Ada", clock=lambda: NOW, training=page)
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    words = f"training: Ada on 2026-06-12, 'Training: one hour' (sha256 {digest[:12]})"
    assert (line(lake, contacts).ok, line(lake, contacts).detail) == (True, words)


def test_the_shipped_contacts_ask_for_parity() -> None:
    shipped = load_contacts(Path(__file__).parents[3] / "deployments" / "contacts.toml")
    assert shipped.sign_offs["parity"] == ("migration_lead",)


def test_a_rollback_ends_the_sign_offs_of_its_cutover(lake: Lake) -> None:
    roles: dict[str, tuple[Role, ...]]
    roles = dict.fromkeys(("training", "cutover", "rollback"), ("migration_lead",))
    people = Contacts(migration_lead=Person(name="Ada"), sign_offs=roles)
    for item in people.sign_offs:
        sign(lake, people, item, "Ada")
    assert cutover_world.run(cutover_world.fill(lake), "cutover")["exit_code"] == 0
    assert missing(lake, people) == []
    assert cutover_world.run(lake, "rollback")["exit_code"] == 0
    assert [item for item, _ in missing(lake, people)] == ["cutover", "rollback"]
    sign(lake, people, "cutover", "Ada")
    assert [item for item, _ in missing(lake, people)] == ["rollback"]
