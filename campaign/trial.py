"""A run of steps on one lake: each under its troubles, and what must hold after it."""

from __future__ import annotations

import ctypes
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from campaign import faults, model, readers, steps
from campaign.draw import Step
from campaign.model import SECRET, V1_FOLDERS, Broken, Model
from campaign.process import Child, Ended
from campaign.steps import STEPS, Where
from campaign.vendor import STRANGER, VendorProcess
from polygon_fundamentals.cutover.verify import verify
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.index import written
from polygon_fundamentals.lake.paths import partition_of_folder, ticker_of_file
from polygon_fundamentals.lake.storage import local
from polygon_fundamentals.statements import Generation, Statement

LOADS = ("load v1", "load v2", "refresh", "update", "import")
SWITCHES = ("cutover", "rollback")
ROOT = Path(__file__).parents[1]
LEFT_SECONDS = 30.0  # what ends a server whose command was killed waits 20 before it insists
VENDORS = 6  # different ones, so that their first loads can be copied
# Nothing of these says what the lake holds: whatever is deleted is made again, or was a lock.
_NOT_DELETED = ("ops/revisions", "ops/kept", "ops/adopted", "ops/quarantine", "ops/cutover")
NO_TROUBLE: Step = {"draw": 0, "changes": [], "days": 0, "page": 1000, "troubles": []}


class Trial:
    """One lake with its vendor, its model, and the counts of what was tried."""

    def __init__(self, vendor: VendorProcess, folder: Path, seed: int) -> None:
        self.vendor, self.folder = vendor, folder
        self.vendor_seed = str(seed % VENDORS)
        given = vendor.ask("new", {"seed": seed % VENDORS})
        self.where = Where(
            folder / "lake-0", given["url"], "", given["tickers"], date(2025, 6, 1), folder
        )
        self.model = Model()
        self.counts: Counter[str] = Counter()
        self.number = self.checks = 0
        self.users = faults.other_users_can_work()
        if self.users:  # as users who share a lake have to set it up
            os.umask(0o002)
            os.chown(folder, -1, faults.GROUP)
            folder.chmod(0o2775)

    @property
    def lake(self) -> Lake:
        """The lake as it lies now."""
        return self.where.lake

    def begin(self, templates: Path) -> None:
        """Load both generations whole, or take a copy of a lake that was loaded so before."""
        template = templates / self.vendor_seed
        if template.is_dir():
            shutil.copytree(template, self.where.root, symlinks=True)
        else:
            for name in ("load v1", "load v2"):
                self.step({**NO_TROUBLE, "step": name, "draw": 1})
            shutil.copytree(self.where.root, template, symlinks=True)
        self.check()

    def end(self) -> None:
        """Bring all back and run what clears away, without trouble; nothing may be left then."""
        if self.archived():
            self.step({**NO_TROUBLE, "step": "restore"})
        for name in ("silver", "parity", "drill"):
            self.step({**NO_TROUBLE, "step": name, "draw": 1})
        self.check(tidy=True)

    def archived(self) -> bool:
        """Say whether v1's rows are in the archive alone."""
        return (self.lake.ops / "kept").is_dir() and any((self.lake.ops / "kept").iterdir())

    def step(self, step: Step) -> None:
        """Do a step under its troubles, then settle and check.

        Raises:
            Broken: something does not hold.
        """
        self.number += 1
        if not self.users:
            step = {**step, "troubles": [t for t in step["troubles"] if t["kind"] != "user"]}
        troubles = {t["kind"]: t for t in step["troubles"]}
        if step["troubles"]:
            self.counts["trials"] += 1
            self.counts.update(list(troubles))
        self.counts[f"step {step['step']}"] += 1
        self._world(step, troubles)
        flipped = self._flip(troubles["flip"]) if "flip" in troubles else None
        if "delete" in troubles:
            self._delete(troubles["delete"])
        if "old script" in troubles:
            self._write_as_old_script(troubles["old script"]["draw"])
        if step.get("command"):
            self._command(step, troubles)
        else:
            self._processes(step, troubles)
        if not (self.lake.bronze / "fundamentals").is_dir() and self.number > 1:
            raise Broken("pointer: leads nowhere after the step")
        if flipped is not None:
            self._mended(*flipped)
        self.check()

    def _world(self, step: Step, troubles: dict[str, Any]) -> None:
        """Let days pass, and the vendor and the lake's folder become what the step has."""
        vendor = self.vendor
        if step["days"]:
            day = date.fromisoformat(vendor.ask("advance", step["days"]))
            self.where = replace(self.where, day=day)
        for draw in step["changes"]:
            vendor.ask("change", draw)
        lie = {"lie": troubles.get("lie", {}).get("lie", ""), "draw": step["draw"]}
        rates = troubles.get("faults", {}).get("rates", {})
        vendor.ask("lie", {**lie, "page": step["page"], "faults": rates})
        if "move" in troubles or "copy" in troubles:
            root = self.folder / f"lake-{self.number}"
            if "copy" in troubles:
                shutil.copytree(self.where.root, root, symlinks=True)
                shutil.rmtree(self.where.root)
            else:
                self.where.root.rename(root)
            self.where = replace(self.where, root=root)

    def _child(
        self, name: str, draw: int, troubles: Sequence[Any], pause: float
    ) -> tuple[Child, str]:
        self.number += 1
        key = f"{SECRET.decode()}-{self.number}"
        where = replace(self.where, key=key)
        return Child(lambda: STEPS[name](where, draw), where.root, troubles, pause), key

    def _processes(self, step: Step, troubles: dict[str, Any]) -> None:
        beside, stop = troubles.get("beside"), troubles.get("stop")
        switches = step["step"] in SWITCHES
        pause = 0.004 if beside or switches else 0.0
        child, key = self._child(step["step"], step["draw"], step["troubles"], pause)
        running = [(step["step"], child, key)]
        pointer, pid = self.lake.pointer, child.pid
        watch = Child(lambda: readers.watch(pointer, pid), self.where.root) if switches else None
        reader = None
        if "reader" in troubles:
            root, engine = self.where.root, troubles["reader"]["engine"]
            reader = Child(lambda: readers.read_on(root, engine, 0.4), root)
        if stop:
            time.sleep(stop["seconds"])
            child.signal(signal.SIGSTOP)
        if beside:
            other, other_key = self._child(beside["step"], beside["draw"], (), pause)
            running.append((beside["step"], other, other_key))
        if stop:
            time.sleep(0.5)  # longer than SILENT_SECONDS, see `python -m campaign`
            child.signal(signal.SIGCONT)
        if "timer" in troubles:
            time.sleep(troubles["timer"]["seconds"])
            child.signal(signal.SIGKILL)
        honest = not ({"lie", "beside", "stop", "clock", "host", "flip"} & troubles.keys())
        rough = bool({"ENOSPC", "EIO", "EROFS", "size", "flip", "user"} & troubles.keys())
        for name, process, its_key in running:
            self._learn(name, process.wait(), its_key, honest, rough)
        for reads in filter(None, (reader, watch)):
            ended = reads.wait()
            if ended.returned or ended.crash:
                raise Broken(f"reader: {ended.returned or ended.crash}")
        if "host" in troubles:  # its heartbeat ended long ago
            old = time.time() - 2 * local.ABANDONED_SECONDS
            for path in (self.lake.ops / "runs").glob("*.json"):
                os.utime(path, (old, old))
            for path in self.lake.ops.rglob(".*.another-host.*.tmp"):
                os.utime(path, (old, old))

    def _learn(self, name: str, ended: Ended, key: str, honest: bool, rough: bool) -> None:
        if ended.crash:
            raise Broken(f"{name}: unforeseen: {ended.crash}")
        if ended.of_disk and not rough:
            raise Broken(f"{name}: the disk is well, and yet: {ended.error}")
        shown = self.vendor.ask("shown", key)
        how = "killed" if ended.status else "refused" if ended.error else "ended"
        self.counts[how] += 1
        result = ended.returned or {}
        if name not in LOADS or not result.get("ok"):
            return
        ciks = {cik for ciks in (result["followed"] or {}).values() for cik in ciks}
        for kind, (generation, _, digest, cik, _) in shown:
            # Beside its window, an update asks v1 for more than it stores.
            stored = name != "update" or generation == "v2" or kind == "window"
            if stored and cik in ciks and not cik.startswith(STRANGER):
                self.model.must[digest] = generation
        if honest and (result["whole"] or result["window"]):
            first, last = result["window"] or ("", "9")
            for generation, _, digest, cik, filed in self.vendor.ask("rows"):
                asked = result["whole"] in ("", generation) and first <= filed <= last
                if asked and cik in ciks:
                    self.model.must[digest] = generation

    def _command(self, step: Step, troubles: dict[str, Any]) -> None:
        """Run a real command, killed after a while where that is a trouble."""
        first = self.where.tickers[0]
        words = {
            "load v2": ["historical-load", "--generation", "v2", "--tickers", first],
            "refresh": ["refresh"],
            "update": ["daily-update", "--date", str(self.where.day)],
            "silver": ["silver"],
            "parity": ["parity"],
            "verify": ["verify"],
        }.get(step["step"], ["status"])
        url = ["--base-url", self.where.url]
        if words[0] in ("silver", "verify", "status"):
            url = []
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", *words, "--lake", str(self.where.root), *url],
            cwd=ROOT,
            env={**os.environ, "POLYGON_API_KEY": f"{SECRET.decode()}-command"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        ends = {"kill", "power", "timer"} & troubles.keys()
        with process:
            try:
                _, said = process.communicate(timeout=step["draw"] % 10 if ends else 180)
            except subprocess.TimeoutExpired:
                process.kill()
                _, said = process.communicate()
                self.counts["killed"] += 1
        self.counts["commands"] += 1
        self.vendor.ask("shown", f"{SECRET.decode()}-command")
        # 2: the words above are not the command's.
        if process.returncode == 2 or SECRET.decode() in said or "Traceback" in said:
            raise Broken(f"{words[0]}: {said[-2000:]}")

    def _flip(self, trouble: dict[str, Any]) -> tuple[Path, bytes, bytes] | None:
        """Flip one bit of a file of rows or of silver, its size and time as before."""
        paths = [p for p in sorted(self.where.root.rglob("*.parquet")) if not p.is_symlink()]
        wanted = ("bronze/", "silver/builds/")
        paths = [p for p in paths if str(p.relative_to(self.where.root)).startswith(wanted)]
        if not paths:
            return None
        path = paths[int(trouble["which"] * len(paths))]
        stat, data = path.stat(), path.read_bytes()
        place = int(trouble["where"] * len(data) * 8)
        rotten = bytearray(data)
        rotten[place // 8] ^= 1 << place % 8
        with path.open("r+b") as file:
            file.write(rotten)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return path.relative_to(self.where.root), data, bytes(rotten)

    def _mended(self, name: Path, data: bytes, rotten: bytes) -> None:
        """Have `verify` name a damaged file that is still there, then put a copy back.

        A switch may have given the file's generation another folder meanwhile.
        """
        lake, (top, _, *below) = self.lake, name.parts
        folders = [name.parent, *(Path(top, folder, *below[:-1]) for folder in V1_FOLDERS)]
        paths = [lake.root / folder / name.name for folder in folders]
        there = [p for p in paths if p.is_file() and p.read_bytes() == rotten]
        if not there:
            return
        path = there[0]
        shown = f"{path.parent.resolve().relative_to(lake.root.resolve())}/{path.name}"
        ended = Child(lambda: [p.file for p in verify(lake).problems], lake.root).wait()
        if shown not in (ended.returned or []) and not _same_rows(lake, path, data, rotten):
            raise Broken(f"verify does not name {shown}, of which a bit was flipped: {ended}")
        stat = path.stat()
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def _write_as_old_script(self, draw: int) -> None:
        where = self.where
        ended = Child(lambda: steps.write_as_old_script(where, draw), where.root).wait()
        if ended.crash or ended.error:
            raise Broken(f"the old script: {ended}")
        # Of an archived v1 such rows stay in the quarantine.
        if ended.returned and not self.archived():
            self.model.must[ended.returned] = "v1"

    def _delete(self, trouble: dict[str, Any]) -> None:
        """Delete a file anywhere under ops/ but those that alone hold rows or a switch."""
        root = self.where.root
        paths = [p for p in sorted((root / "ops").rglob("*")) if p.is_file()]
        paths = [p for p in paths if not str(p.relative_to(root)).startswith(_NOT_DELETED)]
        if paths:
            path = paths[int(trouble["which"] * len(paths))]
            path.unlink()
            self.model.entries.discard(path.name)

    def check(self, *, tidy: bool = False) -> None:
        """Do what the next command does first, then compare the lake with the model.

        `tidy`: every command has run since the last kill, so that nothing may be left.

        Raises:
            Broken: an invariant does not hold.
        """
        where, known = replace(self.where, key=""), self.model.files
        lake, self.checks = self.lake, self.checks + 1

        def look() -> Any:
            done = steps.settle(where)
            files, problems = model.scan(lake.root, known)
            if not problems:
                problems = model.problems_of(lake, files, tidy)
                if tidy or self.checks % 4 == 0:
                    problems += model.cache_problems(lake, files)
            if not done.ok:
                problems.insert(0, done.text)
            fresh = {n: vars(f) for n, f in files.items() if known.get(n) is not f}
            return {"fresh": fresh, "same": [n for n in files if n not in fresh], "bad": problems}

        ended = Child(look, lake.root).wait()
        if ended.crash or ended.error or ended.returned["bad"]:
            raise Broken(f"{ended.crash or ended.error or ended.returned['bad'][:5]}")
        self.model.files = {n: known[n] for n in ended.returned["same"]}
        for name, file in ended.returned["fresh"].items():
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in file.items()
            }
            self.model.files[name] = model.Stored(**values)
        self.model.check_rows(self.archived())
        self.model.learn()
        names = model.ledger_names(lake.root)
        if missing := self.model.entries - names:
            raise Broken(f"ledger: {sorted(missing)[0]} is gone")
        self.model.entries = names
        if left := self._left():
            raise Broken(f"a process is left: {left}")

    def _left(self) -> str:
        """Return the words of a process that outlives its command by more than some seconds.

        Prefect's temporary server ends by itself where the command that started it was killed.
        """
        until = time.monotonic() + LEFT_SECONDS
        while others := _others(self.vendor.pid):
            with suppress(ChildProcessError):
                os.waitpid(others[0], os.WNOHANG)
            if time.monotonic() > until:
                words = Path(f"/proc/{others[0]}/cmdline").read_bytes().replace(b"\0", b" ")
                return words.decode(errors="replace").strip() or "one that has ended"
            time.sleep(0.05)
        return ""


def _others(known: int) -> list[int]:
    """Return the processes that are children of this one, the vendor left out."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in pids if int(pid) != known]


def adopt_orphans() -> None:
    """Become the parent of what processes of ours leave behind, so that it is seen."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _same_rows(lake: Lake, path: Path, data: bytes, rotten: bytes) -> bool:
    """Return whether a flip changed no row of a bronze file without a recorded checksum.

    Such a file is one whose index was deleted and derived anew.
    """
    _, folder, statement, *_ = path.relative_to(lake.root).parts
    if statement not in tuple(Statement):
        return False
    generation = Generation.V2 if folder.endswith("_v2") else Generation.V1
    dataset = lake.dataset(generation, Statement(statement))
    ticker, partition = ticker_of_file(path.name), partition_of_folder(path.parent)
    if ticker is None or partition in written(dataset, ticker).checksums:
        return False
    try:
        both = [pq.read_table(io.BytesIO(some)) for some in (data, rotten)]
    except (OSError, ValueError):
        return False
    return bool(both[0].equals(both[1]))


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
