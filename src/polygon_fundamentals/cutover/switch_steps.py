"""The steps of a switch, in both directions; those of schedules are in `schedule_steps`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from polygon_fundamentals.cutover import companions, reader_checks
from polygon_fundamentals.cutover.context import Options, SwitchContext
from polygon_fundamentals.cutover.journal import Journal
from polygon_fundamentals.cutover.reader_checks import SHOWN, Check
from polygon_fundamentals.cutover.runner import Step
from polygon_fundamentals.cutover.schedule_steps import LOOK_AGAIN_SECONDS, ScheduleSteps
from polygon_fundamentals.cutover.silver_steps import SilverSteps
from polygon_fundamentals.errors import AnswerIsNo, FundamentalsError, LakeError
from polygon_fundamentals.lake.layout import missing
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.lake.pointer import adopt, leads_to, named, point_to
from polygon_fundamentals.lake.silver_files import link_of
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.silver import links
from polygon_fundamentals.statements import Generation, Statement

_NO_WAIT = "no reason to wait"


class Switch:
    """One switch under its journal.

    Every step may be repeated, and its methods return what they did, in words.
    """

    def __init__(
        self,
        lake: Lake,
        journal: Journal,
        target: Generation,
        context: SwitchContext,
        options: Options,
        locks: ExitStack,
    ) -> None:
        self.lake, self.journal, self.target = lake, journal, target
        self.context, self.options, self.locks = context, options, locks
        self.facts = journal.facts
        self.schedules = ScheduleSteps(journal, context, options)
        self.silver = SilverSteps(lake, journal, target, context)

    @property
    def _folder(self) -> Path:
        name = V2_FOLDER if self.target is Generation.V2 else V1_ARCHIVE
        return self.lake.bronze / name

    def cutover_steps(self) -> list[Step]:
        """Return the steps from v1 to v2."""
        return [
            Step("check", lambda: str(self.facts["checked"])),
            Step("hold", self.hold),
            Step("pause schedules", self.schedules.pause, self.schedules.put_back),
            Step("wait for running jobs", self.schedules.wait),
            Step("lock", self.lock),
            Step("adopt pointer", self.adopt),
            Step("build silver", self.silver.build),
            Step("readers' checks", self.check_candidate),
            Step("hold again", self.hold_again),
            *self._companion_steps(),
            Step("move pointer", self.move_pointer, self.move_pointer_back),
            Step("move silver", self.silver.move, self.silver.move_back),
            Step("verify", self.verify),
            Step("resume schedules", self.schedules.resume),
        ]

    def rollback_steps(self) -> list[Step]:
        """Return the steps from v2 to v1.

        Writers are not waited for: once the pointer is a link, each generation's writers
        write to its own folder, wherever it leads. The pointer comes first, and once it leads to
        v1 nothing puts it back: silver may have to be built, readers' checks may fail, and the
        server, which is asked last, may not answer for minutes.
        """
        steps = [
            Step("check", lambda: str(self.facts["checked"])),
            Step("adopt pointer", self.adopt),
            *self._companion_steps(),
            Step("move pointer", self.move_pointer, self.move_pointer_back),
            Step("find silver", self.silver.find),
            Step("move silver", self.silver.move, self.silver.move_back, needs="find silver"),
            Step("verify", self.verify_rollback, needs="move silver"),
            Step("record schedules", self.schedules.try_to_record, self.schedules.put_back),
            Step("schedules as they were", self.schedules.before_cutover),
        ]
        return [replace(step, stays=self.has_moved) for step in steps]

    def has_moved(self) -> bool:
        """Return whether the pointer is a link to the target, be its folder there or not."""
        pointer = self.lake.pointer
        return pointer.is_symlink() and os.path.realpath(pointer) == os.path.realpath(self._folder)

    def _companion_steps(self) -> list[Step]:
        """Return the step for what else lies in v1's or v2's folder, where something does."""
        if not companions.all_companions(self.lake):
            return []
        return [Step("keep other data", self.link_companions, self.unlink_companions)]

    def link_companions(self) -> str:
        """Give the target's folder links to what the other's holds besides the statements."""
        names = companions.link_companions(self.lake, self._folder)
        return f"reachable as before: {companions.in_words(names) or 'nothing to link'}"

    def unlink_companions(self) -> str:
        """Remove those links again."""
        if named(self.lake) is not self.target:
            companions.unlink_companions(self._folder)
        return "links removed"

    def hold(self) -> str:
        """Wait while the postpone file exists."""
        started, waited = time.monotonic(), False
        while self._postponed():
            if not waited:
                path = self.options.postpone_file
                self.context.say(f"waiting while {path} exists; remove it to continue")
                waited = True
            time.sleep(LOOK_AGAIN_SECONDS)
        return f"waited for {time.monotonic() - started:.0f} s" if waited else _NO_WAIT

    def hold_again(self) -> str:
        """Wait where the postpone file is there again; loads go on meanwhile, v1's too.

        They may change the data behind silver and the readers' checks, so both are done again.
        """
        words = _NO_WAIT
        while self._postponed():
            self.locks.close()
            self.schedules.put_back()
            words = self.hold()
            self.schedules.pause()
            self.schedules.wait()
            self.lock()
            for fact in ("silver_before", "silver_after", "answers"):
                self.facts.pop(fact, None)  # type: ignore[misc]  # no key of `Facts` is required
            self.silver.build()
            self.check_candidate()
        return words

    def _postponed(self) -> bool:
        """Return whether to wait: not where a cutover that was cut off has moved the pointer."""
        path = self.options.postpone_file
        return path is not None and path.exists() and leads_to(self.lake) is not self.target

    def lock(self) -> str:
        """Hold the lake alone, so that no writer is between two folders."""
        path = self.lake.lock("writers")
        what = "the lake (a load)"
        self.locks.enter_context(exclusive(path, self.options.wait_seconds, what))
        return "no writer is at work"

    def adopt(self) -> str:
        """Give v1's folder its archive name, with the pointer leading to it."""
        before = named(self.lake)
        self.journal.note({"pointer_before": None if before is None else before.value})
        changed = adopt(
            self.lake, allow_gap=self.options.allow_gap, on_reached=self.context.on_reached
        )
        if changed:
            time.sleep(self.options.settle_seconds)
            return "v1's folder became a link"
        return "skipped: the lake has no v1" if before is None else "the pointer was a link already"

    def check_candidate(self) -> str:
        """Run the readers' checks on the present and on the new generation.

        Raises:
            AnswerIsNo: an answer differs.
        """
        checks = self.context.checks
        if "answers" not in self.facts:
            bronze = Path(os.path.realpath(self.lake.pointer))
            asked = checks if bronze.exists() else ()  # a lake without v1 has no answers before
            answers = reader_checks.answers(asked, self.lake, bronze, self.silver.before)
            self.journal.note({"answers": answers})
        after = self.silver.after
        answers = reader_checks.answers(checks, self.lake, self._folder, after)
        if self.target is Generation.V2:
            compared = reader_checks.figures(checks, self.facts["answers"], answers)
            lines = reader_checks.differences(checks, self.facts["answers"], answers)
            reader_checks.write_figures(self.lake, compared, lines, self.context.clock())
            self.journal.note({"checks_compared": reader_checks.compared_checks(compared)})
        return reader_checks.refuse_differences(
            checks, self.facts["answers"], answers, "v2 beside v1"
        )

    def move_pointer(self) -> str:
        """Make the pointer lead to the target."""
        started = time.monotonic()
        point_to(self.lake, self.target, self.context.on_reached)
        return f"leads to {self._folder.name}, {1000 * (time.monotonic() - started):.1f} ms"

    def move_pointer_back(self) -> str:
        """Make the pointer lead where it led."""
        if "pointer_before" not in self.facts:
            raise LakeError(
                f"{self.journal.path} does not say where {self.lake.pointer} led before, so it "
                "stays as it is; look where it leads, then move that journal away"
            )
        before = self.facts["pointer_before"]
        if before is None:
            if self.lake.pointer.is_symlink():
                self.lake.pointer.unlink()
            return "there was no pointer before"
        if before == named(self.lake) == Generation.V2 and not self.lake.pointer.exists():
            return f"leads to {before} as before, which is not there"
        if self.lake.pointer.is_symlink():
            point_to(self.lake, Generation(before), self.context.on_reached)
        return f"leads to {before} again"

    def verify(self) -> str:
        """Check through the pointer and silver's link, as readers see them.

        Raises:
            AnswerIsNo: a reader's answer differs now.
            LakeError: one of them does not lead where it should.
        """
        self._verify_links()
        answers = self._answers_through_links(self.context.checks)
        return reader_checks.refuse_differences(
            self.context.checks, self.facts["answers"], answers, "the pointer"
        )

    def verify_rollback(self) -> str:
        """Check the links, and return whether the answers are those of before the cutover.

        Raises:
            AnswerIsNo: a readers' check did not answer; or v2's folder is not there, so that what
                else lies in it could not be linked.
            LakeError: a link does not lead where it should.
        """
        self._verify_links()
        answers, failed = reader_checks.Answers(), list[str]()
        for check in self.context.checks:
            try:
                answers |= self._answers_through_links([check])
            except FundamentalsError as error:
                failed.append(str(error))
        checks = [check for check in self.context.checks if check.name in answers]
        before = self.facts.get("answers_before_cutover", {})
        lines = reader_checks.differences(checks, before, answers)
        self.facts["answers_differ"] = lines
        words = f"{len(lines)} answers differ from before the cutover: {'; '.join(lines[:SHOWN])}"
        if not lines:
            compared = reader_checks.figures(checks, before, answers)
            agreement = reader_checks.agreement(checks, compared)
            words = f"compared with before the cutover: {agreement}"
        failed += filter(None, (self.context.checks_error, missing(self.lake, Generation.V2)))
        if failed:
            raise AnswerIsNo("; ".join((*failed, words)))
        return words

    def _answers_through_links(self, checks: Sequence[Check]) -> reader_checks.Answers:
        return reader_checks.answers(checks, self.lake, self.lake.pointer, link_of(self.lake))

    def _verify_links(self) -> None:
        if leads_to(self.lake) is not self.target:
            raise LakeError(f"{self.lake.pointer} does not lead to {self._folder.name}")
        for statement in Statement:
            through, own = self.lake.pointer / statement, self._folder / statement
            if own.is_dir() and sorted(os.listdir(through)) != sorted(os.listdir(own)):
                raise LakeError(f"{through} does not show what {own} holds")
        wanted = self.silver.after
        if not links.leads_to_or_past(self.lake, wanted):
            raise LakeError(f"{link_of(self.lake)} does not lead to {wanted}")
