"""The steps of a switch, in both directions; those of schedules are in `schedule_steps`."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

from polygon_fundamentals.cutover import companions, reader_checks
from polygon_fundamentals.cutover.context import Options, SwitchContext
from polygon_fundamentals.cutover.journal import Journal
from polygon_fundamentals.cutover.runner import Step
from polygon_fundamentals.cutover.schedule_steps import LOOK_AGAIN_SECONDS, ScheduleSteps
from polygon_fundamentals.errors import AnswerIsNo, LakeError
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER, Lake
from polygon_fundamentals.lake.pointer import adopt, leads_to, point_to
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
            Step("build silver", self.build_silver),
            Step("readers' checks", self.check_candidate),
            Step("hold again", self.hold_again),
            *self._companion_steps(),
            Step("move pointer", self.move_pointer, self.move_pointer_back),
            Step("move silver", self.move_silver, self.move_silver_back),
            Step("verify", self.verify),
            Step("resume schedules", self.schedules.resume),
        ]

    def rollback_steps(self) -> list[Step]:
        """Return the steps from v2 to v1.

        Writers are not waited for: once the pointer is a link, each generation's writers
        write to its own folder, wherever it leads. The pointer comes before silver, which may
        have to be built where the build of before the cutover is gone. Readers go back even
        where the server does not answer, or only after minutes: it is asked last, and what was
        done before stays.
        """
        return [
            Step("check", lambda: str(self.facts["checked"])),
            Step("adopt pointer", self.adopt),
            *self._companion_steps(),
            Step("move pointer", self.move_pointer, self.move_pointer_back),
            Step("find silver", self.build_silver),
            Step("move silver", self.move_silver, self.move_silver_back),
            Step("verify", self.verify_rollback),
            Step(
                "record schedules",
                self.schedules.try_to_record,
                self.schedules.put_back,
                stays=True,
            ),
            Step("schedules as they were", self.schedules.before_cutover, stays=True),
        ]

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
        if leads_to(self.lake) is not self.target:
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
        """Wait where the postpone file is there again; loads go on meanwhile.

        They may change the data behind silver and the readers' checks, so both are done again.
        """
        words = _NO_WAIT
        while self._postponed():
            self.locks.close()
            words = self.hold()
            self.lock()
            for fact in ("silver_before", "silver_after", "answers"):
                self.facts.pop(fact, None)  # type: ignore[misc]  # no key of `Facts` is required
            self.build_silver()
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
        before = leads_to(self.lake)
        self.journal.note({"pointer_before": None if before is None else before.value})
        changed = adopt(
            self.lake, allow_gap=self.options.allow_gap, on_reached=self.context.on_reached
        )
        if changed:
            time.sleep(self.options.settle_seconds)
            return "v1's folder became a link"
        return "skipped: the lake has no v1" if before is None else "the pointer was a link already"

    def build_silver(self) -> str:
        """Find or build silver of both sides, and compare their schemas."""
        other = Generation.V1 if self.target is Generation.V2 else Generation.V2
        silver = self.context.silver
        if "silver_before" not in self.facts:
            build = links.linked_build(self.lake)
            if build is None or not links.build_named(self.lake, build.name).is_dir():
                build = silver.build(self.lake, other)
            self.journal.note({"silver_before": build.name})
        before = self._silver_before
        if "silver_after" not in self.facts or not self._silver_after.is_dir():
            self.facts["silver_after"] = silver.build(self.lake, self.target).name
            self.journal.write()
        after = self._silver_after
        texts = [links.schema_text(build) for build in (before, after)]
        # Where v1 holds nothing, there is nothing to compare with.
        same = texts[0] is None or texts[0] == texts[1]
        self.facts["schema_same"] = same
        if not same and self.target is Generation.V2:
            raise AnswerIsNo(
                f"silver from {self.target} has another schema than {before.name}; build both "
                "with this version (`polygon-fundamentals silver`), then run again"
            )
        return f"{after.name} beside {before.name}, the same schema"

    @property
    def _silver_before(self) -> Path:
        return links.build_named(self.lake, self.facts["silver_before"])

    @property
    def _silver_after(self) -> Path:
        return links.build_named(self.lake, self.facts["silver_after"])

    def check_candidate(self) -> str:
        """Run the readers' checks on the present and on the new generation.

        Raises:
            AnswerIsNo: an answer differs.
        """
        checks = self.context.checks
        if "answers" not in self.facts:
            bronze = Path(os.path.realpath(self.lake.pointer))
            asked = checks if bronze.exists() else ()  # a lake without v1 has no answers before
            answers = reader_checks.answers(asked, self.lake, bronze, self._silver_before)
            self.journal.note({"answers": answers})
        after = self._silver_after
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
        if self.lake.pointer.is_symlink():
            point_to(self.lake, Generation(before), self.context.on_reached)
        return f"leads to {before} again"

    def move_silver(self) -> str:
        """Make silver's link lead to the target's build."""
        build = links.link_to(self.lake, self._silver_after, self.context.on_reached)
        return f"leads to {build.name}"

    def move_silver_back(self) -> str:
        """Make silver's link lead where it led."""
        if "silver_before" not in self.facts:
            return "it was not moved"
        before = self._silver_before
        if not before.is_dir():  # cut off for so long that a later build cleared it away
            other = Generation.V1 if self.target is Generation.V2 else Generation.V2
            before = self.context.silver.build(self.lake, other)
        build = links.link_to(self.lake, before, self.context.on_reached)
        return f"leads to {build.name} again"

    def verify(self) -> str:
        """Check through the pointer and silver's link, as readers see them.

        Raises:
            AnswerIsNo: a reader's answer differs now.
            LakeError: one of them does not lead where it should.
        """
        self._verify_links()
        answers = self._answers_through_links()
        return reader_checks.refuse_differences(
            self.context.checks, self.facts["answers"], answers, "the pointer"
        )

    def verify_rollback(self) -> str:
        """Check the links, and tell whether the answers are those of before the cutover."""
        self._verify_links()
        answers = self._answers_through_links()
        before = self.facts.get("answers_before_cutover", {})
        lines = reader_checks.differences(self.context.checks, before, answers)
        self.facts["answers_differ"] = lines
        if lines:
            return f"{len(lines)} answers differ from before the cutover: {'; '.join(lines[:3])}"
        compared = reader_checks.figures(self.context.checks, before, answers)
        agreement = reader_checks.agreement(self.context.checks, compared)
        return f"compared with before the cutover: {agreement}"

    def _answers_through_links(self) -> reader_checks.Answers:
        link = link_of(self.lake)
        return reader_checks.answers(self.context.checks, self.lake, self.lake.pointer, link)

    def _verify_links(self) -> None:
        if leads_to(self.lake) is not self.target:
            raise LakeError(f"{self.lake.pointer} does not lead to {self._folder.name}")
        for statement in Statement:
            through, own = self.lake.pointer / statement, self._folder / statement
            if own.is_dir() and sorted(os.listdir(through)) != sorted(os.listdir(own)):
                raise LakeError(f"{through} does not show what {own} holds")
        wanted = self._silver_after
        if not links.leads_to_or_past(self.lake, wanted):
            raise LakeError(f"{link_of(self.lake)} does not lead to {wanted}")
