"""The steps of a switch that concern schedules and the jobs that run."""

from __future__ import annotations

import time

from polygon_fundamentals.cutover.context import V1_DEPLOYMENTS, Options, SwitchContext
from polygon_fundamentals.cutover.journal import Journal
from polygon_fundamentals.cutover.schedules import NoSchedules, with_active
from polygon_fundamentals.errors import FundamentalsError, LakeLockedError, UsageError

LOOK_AGAIN_SECONDS = 0.5


class ScheduleSteps:
    """Notes the schedules in the journal, pauses and resumes them.

    Every step may be repeated, and its methods return what they did, in words.
    """

    def __init__(self, journal: Journal, context: SwitchContext, options: Options) -> None:
        self.journal, self.context, self.options = journal, context, options
        self.facts = journal.facts

    def record(self) -> str:
        """Note what the schedules are, before anything changes them."""
        if "schedules" not in self.facts:
            self.journal.note({"schedules": self.context.schedules.recorded()})
        noted = self.facts["schedules"]
        if noted is None:
            return self.context.schedules.why_none
        return f"{len(noted)} schedules noted" if noted else "no deployment there loads this lake"

    def try_to_record(self) -> str:
        """Note what the schedules are, where the server answers; it is asked again at the end."""
        try:
            self._refuse_without_server()
            return self.record()
        except FundamentalsError as error:
            return f"not yet: {error}"

    def pause(self) -> str:
        """Note the schedules and pause those of v1."""
        words = self.record()
        noted = self.facts["schedules"]
        if noted is None:
            return f"skipped: {words}"
        self.context.schedules.apply(with_active(noted, dict.fromkeys(V1_DEPLOYMENTS, False)))
        paused = [
            e["deployment"] for e in noted if e["generation"] in V1_DEPLOYMENTS and e["active"]
        ]
        return f"paused {', '.join(paused)}" if paused else f"none of v1's is active ({words})"

    def put_back(self) -> str:
        """Make the schedules what they were."""
        noted = self.facts.get("schedules")
        if noted is None:
            return "nothing to put back"
        self.context.schedules.apply(noted)
        return f"{len(noted)} schedules as they were"

    def resume(self) -> str:
        """Go on with v2's schedules, and leave v1's paused."""
        noted = self.facts["schedules"]
        if noted is None:
            return f"skipped: {self.context.schedules.why_none}"
        wanted = with_active(noted, {"v2": True, **dict.fromkeys(V1_DEPLOYMENTS, False)})
        self.context.schedules.apply(wanted)
        return f"active now: {self._active()}"

    def before_cutover(self) -> str:
        """Make the schedules what they were before the cutover.

        A cleanup since may have retired their deployments, whose schedules then start nothing.

        Raises:
            UsageError: the cutover switched schedules of a server, and none is configured now.
        """
        self._refuse_without_server()
        wanted = self.facts.get("schedules_before_cutover")
        if wanted is not None:
            self.record()
        back = self.context.schedules.reinstate(V1_DEPLOYMENTS)
        words = f"; no longer retired: {', '.join(back)}" if back else ""
        if wanted is None:
            return f"skipped: the cutover had no schedules to switch{words}"
        if self.facts["schedules"] is None:
            return f"skipped: {self.context.schedules.why_none}{words}"
        self.context.schedules.apply(wanted)
        return f"active now: {self._active()}{words}"

    def _refuse_without_server(self) -> None:
        schedules = self.context.schedules
        if (
            self.facts.get("schedules_before_cutover")
            and isinstance(schedules, NoSchedules)
            and not schedules.left_alone
        ):
            raise UsageError(
                "the cutover switched schedules of a Prefect server, and none is configured now: "
                "set PREFECT_API_URL to that server; where it is gone for good, move "
                f"{self.journal.path} away instead"
            )

    def _active(self) -> str:
        """Return in words what is active, as the server now has it."""
        there = self.context.schedules.recorded() or []
        return ", ".join(dict.fromkeys(e["deployment"] for e in there if e["active"])) or "none"

    def wait(self) -> str:
        """Wait until no flow run of v1 is going on.

        Raises:
            LakeLockedError: some still are after the limit.
        """
        started, waited = time.monotonic(), False
        while running := self.context.schedules.running(V1_DEPLOYMENTS):
            if time.monotonic() - started >= self.options.wait_seconds:
                raise LakeLockedError(
                    f"{', '.join(running[:3])} still runs after {self.options.wait_seconds:g} s; "
                    "let it end or cancel it, then run again"
                )
            if not waited:
                self.context.say(f"waiting for {', '.join(running[:3])}")
                waited = True
            time.sleep(LOOK_AGAIN_SECONDS)
        return f"waited {time.monotonic() - started:.1f} s" if waited else "none was running"
