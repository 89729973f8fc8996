"""Every test that tests/README.md names is there."""

from __future__ import annotations

import re

from tests.contract.doc_pages import ROOT

PAGE = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 30
    for file, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / "tests" / file).read_text("utf-8"), re.M), name
