"""One short part of the campaign with a fixed seed; `make campaign` runs as long as it is asked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.draw import draw_steps
from campaign.mutations import LIBRARY, MUTATIONS, apply

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_twenty_seconds_of_the_campaign_break_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    ran = subprocess.run(
        [sys.executable, "-m", "campaign", "--minutes", "0.33", "--seed", "1", "--log", str(log)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    counted = re.search(r": (\d+) trials, 0 broken", log.read_text())
    assert counted
    assert int(counted[1]) >= 2


def test_a_seed_draws_the_same_steps_and_troubles_again() -> None:
    assert draw_steps(7, 40) == draw_steps(7, 40)
    assert draw_steps(7, 40) != draw_steps(8, 40)
    kinds = {t["kind"] for seed in range(20) for s in draw_steps(seed, 40) for t in s["troubles"]}
    assert len(kinds) == 22


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_still_stands_for_a_text_of_the_library(name: str, tmp_path: Path) -> None:
    mutation = MUTATIONS[name]
    copy = tmp_path / LIBRARY / mutation.file
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / LIBRARY / mutation.file).read_text())
    apply(mutation, tmp_path)
    compile(copy.read_text(), str(copy), "exec")
    copy.write_text("")
    with pytest.raises(ValueError, match="0 times"):
        apply(mutation, tmp_path)
