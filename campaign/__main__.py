"""`python -m campaign --minutes 60`: trials until the time is over or an invariant breaks.

SIGTERM ends it after the present step, with its line of the log.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from campaign.draw import Step, draw_steps
from campaign.process import adopt_orphans
from campaign.run import run_steps
from campaign.vendor import VendorProcess

STEPS_A_LAKE = 60
SHRINKING_SECONDS = 240.0


def main(words: Sequence[str] | None = None) -> int:
    """Run trials; the exit code is 1 where an invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first lake")
    parser.add_argument("--trials", type=int, help="end after so many")
    parser.add_argument("--steps", type=int, default=STEPS_A_LAKE, help="a lake")
    parser.add_argument("--folder", type=Path, help="where the lakes lie; /dev/shm if it can")
    parser.add_argument("--log", type=Path, help="a file to which one line is appended")
    parser.add_argument("--no-shrink", action="store_true", help="print the steps as they failed")
    parser.add_argument("--replay", help="steps as a failing trial prints them, with --seed")
    given = parser.parse_args(words)
    _shorten_waits()
    adopt_orphans()
    gc.freeze()  # forks share what is imported
    base = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir())
    base = given.folder or base
    vendor = VendorProcess()
    try:
        if given.replay:
            _, broken, _ = run_steps(vendor, base, given.seed, json.loads(given.replay))
            print(broken or "nothing broke")
            return int(bool(broken))
        return _campaign(vendor, base, given)
    finally:
        vendor.close()
        shutil.rmtree(base / f"campaign-{os.getpid()}-templates", ignore_errors=True)


def _campaign(vendor: VendorProcess, base: Path, given: argparse.Namespace) -> int:
    began, counts, seed, broken = time.monotonic(), Counter[str](), given.seed, ""
    until = began + 60 * given.minutes
    asked: list[int] = []  # signals that ask for an end after this step
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))

    def goes_on(_: object) -> bool:
        return not asked and bool(time.monotonic() < until)

    while goes_on(None) and not (given.trials and counts["trials"] >= given.trials):
        todo = draw_steps(seed, given.steps)
        done_counts, broken, done = run_steps(vendor, base, seed, todo, goes_on)
        counts += done_counts
        counts["lakes"] += 1
        if broken:
            steps = todo[:done]
            print(f"BROKEN with --seed {seed}: {broken}", flush=True)
            print(f"steps: --replay '{json.dumps(steps)}'", flush=True)
            if not given.no_shrink:
                steps = shrunk(vendor, base, seed, steps, broken)
                print(f"shortest: --replay '{json.dumps(steps)}'", flush=True)
            break
        seed += 1
    seconds = time.monotonic() - began
    line = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} commit {_commit()} seeds {given.seed}-{seed} "
        f"{seconds:.0f} s: {counts['trials']} trials, {int(bool(broken))} broken; "
        + ", ".join(f"{k} {v}" for k, v in sorted(counts.items()) if k != "trials")
    )
    print(line)
    if given.log:
        with given.log.open("a") as log:
            log.write(line + (f" BROKEN {broken[:200]}" if broken else "") + "\n")
    return int(bool(broken))


def shrunk(
    vendor: VendorProcess, base: Path, seed: int, steps: list[Step], broken: str
) -> list[Step]:
    """Return the fewest steps, with the fewest troubles, that still break the same invariant."""
    until = time.monotonic() + SHRINKING_SECONDS

    def fails(some: list[Step]) -> bool:
        if time.monotonic() > until:
            return False
        return _invariant(run_steps(vendor, base, seed, some)[1]) == _invariant(broken)

    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fails(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    for number, step in enumerate(steps):
        for trouble in list(step["troubles"]):
            others = [t for t in step["troubles"] if t is not trouble]
            fewer = [*steps[:number], {**step, "troubles": others}, *steps[number + 1 :]]
            if fails(fewer):
                steps, step = fewer, fewer[number]
    return steps


def _invariant(broken: str) -> str:
    """Return the name before the colon: `verify`, `left over`, `rows lost`, ..."""
    return broken.strip("[' \"").partition(":")[0]


def _shorten_waits() -> None:
    """Let heartbeats and waits for locks be short, so that a trial meets their ends."""
    from flows import runs
    from polygon_fundamentals.ledger import entry, run
    from polygon_fundamentals.ledger.process import code_version

    code_version()  # asks git once, not in each process
    run.HEARTBEAT_SECONDS, entry.SILENT_SECONDS, runs.LOCK_SECONDS = 0.05, 0.3, 0.5


def _commit() -> str:
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "?"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # DuckDB's binding reports what it did not free
