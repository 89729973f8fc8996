"""A run of steps on a new lake, and what broke."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from campaign.draw import Step
from campaign.model import Broken
from campaign.trial import Trial
from campaign.vendor import VendorProcess


@contextmanager
def trial(vendor: VendorProcess, base: Path, seed: int) -> Iterator[Trial]:
    """Yield a trial with a folder of its own."""
    folder = base / f"campaign-{os.getpid()}-{random.randrange(10**9)}"
    folder.mkdir(parents=True)
    try:
        yield Trial(vendor, folder, seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_steps(
    vendor: VendorProcess, base: Path, seed: int, todo: Sequence[Step],
    on_step: Callable[[Trial], bool] = lambda _: True,
) -> tuple[Counter[str], str, int]:  # fmt: skip
    """Return the counts of some steps, what broke (or nothing), and how many steps were done."""
    done = 0
    with trial(vendor, base, seed) as made:
        try:
            made.begin(base / f"campaign-{os.getpid()}-templates")
            for step in todo:
                done += 1
                made.step(step)
                if not on_step(made):
                    break
            made.end()
        except Broken as broken:
            return made.counts, str(broken), done
        return made.counts, "", done
