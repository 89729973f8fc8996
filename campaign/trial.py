"""One lake, the steps that are done on it under troubles, and what must hold after each."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from campaign import another_tool, commands, faults, model, published, readers, steps, switching
from campaign.damage import delete_a_file, flip_a_bit, put_right
from campaign.draw import Step, draw_theirs, fits_theirs
from campaign.model import SECRET, Broken, Model
from campaign.process import Child, left_process
from campaign.steps import STEPS
from campaign.vendor import STRANGER, VendorProcess
from campaign.where import Where
from polygon_fundamentals.lake import Lake
from polygon_fundamentals.lake.storage import local

LOADS = ("load v1", "load v2", "refresh", "update", "import")
SWITCHES = ("cutover", "rollback")
VENDORS = 6  # different ones, so that their first loads can be copied
NO_TROUBLE: Step = {"draw": 0, "changes": [], "days": 0, "page": 1000, "troubles": []}


class Trial:
    """One lake with its vendor, its model, and the counts of what was tried."""

    def __init__(self, vendor: VendorProcess, folder: Path, seed: int) -> None:
        self.vendor, self.folder = vendor, folder
        self.theirs = draw_theirs(seed)
        self.vendor_seed = f"{seed % VENDORS}{'-theirs' if self.theirs else ''}"
        given = vendor.ask("new", {"seed": seed % VENDORS, "theirs": self.theirs})
        self.where = Where(
            folder / "lake-0", given["url"], "", given["tickers"], date(2025, 6, 1), folder
        )
        self.model = Model()
        self.published = published.Published()
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
        self.counts["lakes in another form"] += self.theirs
        template = templates / self.vendor_seed
        if template.is_dir():
            shutil.copytree(template, self.where.root, symlinks=True)
        else:
            if self.theirs:
                where = replace(self.where, key=SECRET.decode())
                ended = Child(lambda: another_tool.write_lake(where), self.where.root).wait()
                if ended.crash or ended.error or not ended.returned:
                    raise Broken(f"another tool: {ended}")
            for name in ("load v1", "load v2"):
                self.step({**NO_TROUBLE, "step": name, "draw": 1})
            shutil.copytree(self.where.root, template, symlinks=True)
        self.check()

    def end(self) -> None:
        """Bring all back and run what clears away, without trouble; nothing may be left then."""
        if self.archived():
            self.step({**NO_TROUBLE, "step": "restore"})
        for name in ("silver", "publish", "parity", "drill"):
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
        if self.theirs:
            step = {**step, "troubles": [t for t in step["troubles"] if fits_theirs(t)]}
        troubles = {t["kind"]: t for t in step["troubles"]}
        if step["troubles"]:
            self.counts["trials"] += 1
            self.counts.update(list(troubles))
        self.counts[f"step {step['step']}"] += 1
        self._world(step, troubles)
        flipped = flip_a_bit(self.where.root, troubles["flip"]) if "flip" in troubles else None
        if "delete" in troubles:
            self.model.entries.discard(delete_a_file(self.where.root, troubles["delete"]) or "")
        if "old script" in troubles:
            self._write_as_old_script(troubles["old script"]["draw"])
        if step.get("command"):
            self._command(step, troubles)
        else:
            self._processes(step, troubles)
        if not (self.lake.bronze / "fundamentals").is_dir() and self.number > 1:
            raise Broken("pointer: leads nowhere after the step")
        if flipped is not None:
            put_right(self.lake, *flipped)
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
            others = "old script" in troubles
            reader = Child(lambda: readers.read_on(root, engine, 0.4, others=others), root)
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
            self._learn(name, process, its_key, honest, rough)
        for reads in filter(None, (reader, watch)):
            ended = reads.wait()
            meets_rot = reads is reader and "flip" in troubles  # no reader opens a damaged footer
            if (ended.returned or ended.crash) and not meets_rot:
                raise Broken(f"reader: {ended.returned or ended.crash}")
        if "host" in troubles:  # its heartbeat ended long ago
            old = time.time() - 2 * local.ABANDONED_SECONDS
            for path in (self.lake.ops / "runs").glob("*.json"):
                os.utime(path, (old, old))
            for path in self.lake.ops.rglob(".*.another-host.*.tmp"):
                os.utime(path, (old, old))

    def _learn(self, name: str, process: Child, key: str, honest: bool, rough: bool) -> None:
        ended, pid = process.wait(), process.pid
        if ended.crash:
            raise Broken(f"{name}: unforeseen: {ended.crash}")
        if ended.of_disk and not rough:
            raise Broken(f"{name}: the disk is well, and yet: {ended.error}")
        shown = self.vendor.ask("shown", key)
        how = "killed" if ended.status else "refused" if ended.error else "ended"
        self.counts["interrupted" if ended.interrupted else how] += 1
        if ended.asked is not None:
            commands.check_end(self.lake, pid, name, ended.asked, ended.interrupted)
        result = ended.returned or {}
        self.published.said_build = result.get("published") or self.published.said_build
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
        """Run a real command; what it saw of the vendor's rows is not known."""
        how = commands.run(self.where, step["step"], step["draw"], troubles)
        self.counts.update(["commands", how])
        self.vendor.ask("shown", commands.KEY)

    def _write_as_old_script(self, draw: int) -> None:
        where = self.where
        ended = Child(lambda: steps.write_as_old_script(where, draw), where.root).wait()
        if ended.crash or ended.error:
            raise Broken(f"the old script: {ended}")
        # Of an archived v1 such rows stay in the quarantine.
        if ended.returned and not self.archived():
            self.model.must[ended.returned] = "v1"

    def check(self, *, tidy: bool = False) -> None:
        """Do what the next command does first, then compare the lake with the model.

        `tidy`: every command has run since the last kill, so that nothing may be left.

        Raises:
            Broken: an invariant does not hold.
        """
        where, known, filed = replace(self.where, key=""), self.model.files, self.model.filed
        lake, self.checks = self.lake, self.checks + 1

        def look() -> Any:
            done = switching.settle(where)
            files, problems = model.scan(lake.root, known)
            tables = self.published
            if not problems:
                problems = model.problems_of(lake, files, tidy, filed)
                if tidy or self.checks % 4 == 0:
                    problems += model.cache_problems(lake, files)
                tables, wrong = published.look(where, self.published)
                problems += wrong
            if not done.ok:
                problems.insert(0, done.text)
            fresh = {n: vars(f) for n, f in files.items() if known.get(n) is not f}
            same = [n for n in files if n not in fresh]
            return {"fresh": fresh, "same": same, "bad": problems, "published": vars(tables)}

        ended = Child(look, lake.root).wait()
        if ended.crash or ended.error or ended.returned["bad"]:
            raise Broken(f"{ended.crash or ended.error or ended.returned['bad'][:5]}")
        self.model.files = {n: known[n] for n in ended.returned["same"]}
        for name, file in ended.returned["fresh"].items():
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in file.items()
            }
            self.model.files[name] = model.Stored(**values)
        self.published = published.Published(**ended.returned["published"])
        self.model.check_rows(self.archived())
        self.model.learn()
        names = model.ledger_names(lake.root)
        if missing := self.model.entries - names:
            raise Broken(f"ledger: {sorted(missing)[0]} is gone")
        self.model.entries = names
        if left := left_process(self.vendor.pid):
            raise Broken(f"a process is left: {left}")
