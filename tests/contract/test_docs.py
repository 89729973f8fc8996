"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from expectations.answer import TOLERANCES_FILE
from polygon_fundamentals.parity import Kind, load_tolerances

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


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
