"""What commands answer and write is what it was before the house was rebuilt.

The files in `goldens/` hold what the code of commit 925078d gave; where 61d55db was meant to
differ (a retired v1 stays retired after a load that failed for a reason of its own), what that
gave. They are every `--json` answer with its exit code, every entry of the run ledger and every
journal of a switch in three scenarios (`golden_world.py`), and the options of each command. A key
that is new passes; one that is gone, or another value, does not. Times, ids, paths, measured
numbers and texts for people are placeholders, so that messages can be put better.

Where an answer is meant to change, run `python -m tests.contract.goldens_record` and look at the
difference that git shows: everything in it must be meant.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.golden_values import differences, normalised, options
from tests.contract.golden_world import GOLDENS, played

NAMES = ("answers", "journals", "ledger")


def golden(name: str) -> Any:
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    "scenario", ["migration", "troubles", pytest.param("comparing", marks=pytest.mark.slow)]
)
def test_answers_entries_and_journals_are_as_before(scenario: str, tmp_path: Path) -> None:
    now = played(scenario, tmp_path)
    found = [
        found
        for name in NAMES
        for found in differences(golden(f"{scenario}_{name}"), now[name], f"{scenario}_{name}")
    ]
    assert found == []


def test_every_command_has_its_options() -> None:
    before, now = golden("options"), json.loads(json.dumps(options()))
    assert list(differences(before, now, "options")) == []


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"a": 1, "b": [{"c": None, "new": 2}], "d": 3}, []),
        ({"b": [{"c": None}]}, ["x.a is gone"]),
        ({"a": True, "b": [{"c": None}]}, ["x.a: 1 has become true"]),
        ({"a": 1, "b": [{"c": 0}]}, ["x.b[0].c: null has become 0"]),
        ({"a": 1, "b": []}, ['x.b: [{"c": null}] has become []']),
        ([], ['x: {"a": 1, "b": [{"c": null}]} has become []']),
    ],
)
def test_a_key_gone_or_another_value_is_seen_and_a_new_key_passes(
    now: Any, expected: list[str]
) -> None:
    assert list(differences({"a": 1, "b": [{"c": None}]}, now, "x")) == expected


def test_what_differs_from_run_to_run_is_a_placeholder() -> None:
    found = normalised(
        {
            "lake": "/tmp/x1/lake",
            "seconds": 1.25,
            "seconds_by_part": {"cutover": 0.5},
            "journal": "/a/20261127T073537720041Z-cutover-1a2b3c4d.json",
            "message": "3 of 4 units",
            "refreshed": "2026-11-27T07:35:37+00:00",
            "name": "storage v2 / v1",
            "compared": 891,
            "ok": True,
        }
    )
    assert found == {
        "lake": "<path>",
        "seconds": "<number>",
        "seconds_by_part": {"cutover": "<number>"},
        "journal": "<path><time>-cutover-<id>.json",
        "message": "<prose>",
        "refreshed": "<time>",
        "name": "storage v2 / v1",
        "compared": 891,
        "ok": True,
    }
