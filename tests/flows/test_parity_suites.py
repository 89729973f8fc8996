"""The stored suites are the same in every lake, and a line of tolerances.yaml is one rule."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import flows.parity
import tasks.parity
from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.lake import Lake
from tests.builders.commands import call
from tests.filled import filled

pytestmark = pytest.mark.slow
LINE = "unexplained: {at_most: 0, reason: Nothing explains the difference.}"


def suites_of(lake: Lake) -> dict[str, bytes]:
    """What a run of parity stores: suites, validation definitions and the checkpoint."""
    code, answer = call("parity", "--lake", str(lake.root), "--base-url", "http://127.0.0.1:9")
    assert code in (0, 1), answer
    gx = lake.ops / "parity" / "gx"
    folders = ("expectations", "validation_definitions", "checkpoints")
    files = [path for folder in folders for path in (gx / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(gx)): path.read_bytes() for path in files}


def rules_of(suites: dict[str, bytes]) -> dict[str, Any]:
    return {
        rule["id"]: rule
        for name, content in suites.items()
        if name.startswith("expectations/")
        for rule in json.loads(content)["expectations"]
    }


def test_lakes_of_12_and_60_companies_have_the_same_suites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = date(2024, 1, 1)
    small = filled(tmp_path / "small", companies=12, seed=3, start=start)
    large = filled(tmp_path / "large", companies=60, seed=7, start=start)
    before = suites_of(small)
    assert len(before) > 15
    assert suites_of(large) == before

    text = TOLERANCES_FILE.read_text()
    assert LINE in text
    changed = tmp_path / "tolerances.yaml"
    changed.write_text(text.replace(LINE, LINE.replace("at_most: 0", "at_most: 7")))
    for module in (flows.parity, tasks.parity):
        monkeypatch.setattr(module, "TOLERANCES_FILE", changed)
    after = suites_of(small)
    assert [name for name in before if before[name] != after[name]] == ["expectations/values.json"]
    assert before.keys() == after.keys()
    rules, new_rules = rules_of(before), rules_of(after)
    assert rules.keys() == new_rules.keys()
    [differs] = [name for name in rules if rules[name] != new_rules[name]]
    assert new_rules[differs]["kwargs"] == {**rules[differs]["kwargs"], "at_most": 7}
    assert rules[differs]["kwargs"]["finding"] == "unexplained"
