"""Ten deliberate defects, one at a time: does the campaign find each, and how long does it take?

    python -m campaign.mutations [NAME ...] [--minutes 30] [--seed N]

Each is put into a copy of the tree, as a text that must stand there exactly once. The exit code is
1 where one was not found in time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = "src/polygon_fundamentals"


@dataclass(frozen=True)
class Mutation:
    """A defect: in a file of the library, one text in place of another."""

    file: str
    text: str
    instead: str


MUTATIONS = {
    "a flush left out": Mutation(
        "lake/commit.py", "            local.flush_to_disk(staging)\n", "            pass\n"
    ),
    "a rename before the note": Mutation(
        "lake/commit.py",
        "    if touched:\n        local.replace_file(note, orjson.dumps(touched))\n",
        "",
    ),
    "a lock not taken": Mutation(
        "lake/commit.py",
        "    with exclusive(dataset.lake.lock(name)):\n",
        "    with contextlib.nullcontext(name):\n",
    ),
    "a withdrawn row dropped": Mutation(
        "lake/rewrite.py",
        "        elif stands:\n",
        "        elif stands and key in changed:\n",
    ),
    "a pointer moved in two steps": Mutation(
        "lake/pointer.py",
        "    os.replace(beside, link)\n",
        "    link.unlink(missing_ok=True)\n    os.rename(beside, link)\n",
    ),
    "a cache not checked against mtime": Mutation(
        "lake/cache.py",
        "if left.get(key) == stamp]\n",
        "if left.get(key, [0, 0])[1] == stamp[1]]\n",
    ),
    "a revision not written": Mutation(
        "lake/commit.py",
        '        if plan.revisions:\n            counts["bytes_written"]',
        '        if len(plan.revisions) > 1:\n            counts["bytes_written"]',
    ),
    "a date off by one": Mutation(
        "load/window_v2.py",
        "        return self.last + timedelta(days=1)\n",
        "        return self.last\n",
    ),
    "a retry that drops a page": Mutation(
        "http/client.py",
        "            page = self.get(path, following)\n",
        "            tries = self.counts.retries\n            page = self.get(path, following)\n"
        "            if self.counts.retries > tries:\n                continue\n",
    ),
    "a heartbeat never stale": Mutation(
        "ledger/entry.py",
        "    return time.time() - entry.path.stat().st_mtime > SILENT_SECONDS\n",
        "    return False\n",
    ),
}


def apply(mutation: Mutation, tree: Path) -> None:
    """Put a defect into a tree.

    Raises:
        ValueError: its text does not stand there exactly once.
    """
    path = tree / LIBRARY / mutation.file
    text = path.read_text()
    if text.count(mutation.text) != 1:
        raise ValueError(f"{mutation.file} holds it {text.count(mutation.text)} times")
    path.write_text(text.replace(mutation.text, mutation.instead))


def seconds_until_found(mutation: Mutation, minutes: float, seed: int) -> tuple[float, str]:
    """Return how long the campaign took to find a defect, and what it said; nothing: not found.

    Raises:
        RuntimeError: the campaign ended for another reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for name in ("campaign", "deployments", "expectations", "flows", "sandbox", "src", "tasks"):
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tree / name, ignore=left_out)
        apply(mutation, tree)
        words = [sys.executable, "-m", "campaign", "--no-shrink"]
        began = time.monotonic()
        ran = subprocess.run(
            [*words, "--seed", str(seed), "--minutes", str(minutes)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode and not ran.stdout.startswith("BROKEN"):
            raise RuntimeError(f"the campaign itself failed: {ran.stderr[-1500:]}")
        broken = ran.stdout.splitlines()[0][:160] if ran.returncode else ""
        return time.monotonic() - began, broken


def main(words: Sequence[str] | None = None) -> int:
    """Try the defects; the exit code is 1 where one was not found."""
    parser = argparse.ArgumentParser(prog="python -m campaign.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(MUTATIONS)}")
    parser.add_argument("--minutes", type=float, default=30.0, help="for each")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(words)
    missed = 0
    for name in given.names or MUTATIONS:
        seconds, broken = seconds_until_found(MUTATIONS[name], given.minutes, given.seed)
        missed += not broken
        print(f"| {name} | {seconds:.0f} s | {broken or 'not found'} |", flush=True)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
