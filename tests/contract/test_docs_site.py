"""The pages build as a site in which every link and anchor leads somewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.doc_pages import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed: make docs")
pytest.importorskip("material", reason="mkdocs-material is not installed: make docs")


def _build(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", project / "made"],
        cwd=project,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the site is made of."""
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


def test_the_site_builds_without_a_warning_and_has_every_page(project: Path) -> None:
    built = _build(project)
    assert built.returncode == 0, built.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {
        page for page in pages if not (project / "made" / page / "index.html").is_file()
    } == set()
    assert (project / "made" / "images" / "migration.svg").is_file()


@pytest.mark.parametrize("link", ["no-such-page.md", "runbook.md#no-such-heading"])
def test_a_broken_link_or_anchor_fails_the_build(project: Path, link: str) -> None:
    with (project / "docs" / "risks.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[broken]({link})\n")
    built = _build(project)
    assert built.returncode == 1
    assert link.split("#")[-1].removesuffix(".md") in built.stderr
