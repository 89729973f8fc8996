"""The steps of a switch that concern silver: which builds there are, and where its link leads."""

from __future__ import annotations

import os
from pathlib import Path

from polygon_fundamentals.cutover.context import SwitchContext
from polygon_fundamentals.cutover.journal import Journal
from polygon_fundamentals.errors import AnswerIsNo, LakeError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.silver_files import link_of
from polygon_fundamentals.silver import links
from polygon_fundamentals.statements import Generation


class SilverSteps:
    """Finds or builds silver of both sides, and moves its link.

    Every step may be repeated, and its methods return what they did, in words.
    """

    def __init__(
        self, lake: Lake, journal: Journal, target: Generation, context: SwitchContext
    ) -> None:
        self.lake, self.journal, self.target, self.context = lake, journal, target, context
        self.facts = journal.facts

    @property
    def before(self) -> Path:
        """The build that readers had when the switch began."""
        return links.build_named(self.lake, self.facts["silver_before"])

    @property
    def after(self) -> Path:
        """The build of the generation that the switch leads to."""
        return links.build_named(self.lake, self.facts["silver_after"])

    def build(self) -> str:
        """Find or build silver of both sides, and compare their schemas.

        Raises:
            AnswerIsNo: v2's build has another schema than v1's.
        """
        if "silver_before" not in self.facts:
            build = links.linked_build(self.lake)
            if build is None or not links.build_named(self.lake, build.name).is_dir():
                build = self._built_before()
            self.journal.note({"silver_before": build.name})
        self._find_or_build_after()
        if not self._has_same_schema():
            raise AnswerIsNo(
                f"silver from {self.target} has another schema than {self.before.name}; build both "
                "with this version (`polygon-fundamentals silver`), then run again"
            )
        return f"{self.after.name} beside {self.before.name}, the same schema"

    def find(self) -> str:
        """Find v1's build of before the cutover, or build silver from v1.

        A rollback needs nothing of the build that readers leave, which may be damaged or gone.
        """
        link = link_of(self.lake)
        links.refuse_others(link)
        self._find_or_build_after()
        if link.is_symlink():
            self.journal.note({"silver_before": Path(os.path.realpath(link)).name})
        if "silver_before" not in self.facts:
            return self.after.name
        words = f"{self.after.name} beside {self.before.name}"
        try:
            same = self._has_same_schema()
        except (LakeError, OSError, ValueError) as error:  # of Arrow: a ValueError
            return f"{words}, whose schema cannot be read ({error})"
        return f"{words}, {'the same' if same else 'another'} schema"

    def _find_or_build_after(self) -> None:
        if "silver_after" not in self.facts or not self.after.is_dir():
            self.facts["silver_after"] = self.context.silver.build(self.lake, self.target).name
            self.journal.write()

    def _has_same_schema(self) -> bool:
        before, after = (links.schema_text(build) for build in (self.before, self.after))
        # Where v1 holds nothing, there is nothing to compare with.
        same = before is None or before == after
        self.facts["schema_same"] = same
        return same

    def _built_before(self) -> Path:
        other = Generation.V1 if self.target is Generation.V2 else Generation.V2
        return self.context.silver.build(self.lake, other)

    def move(self) -> str:
        """Make silver's link lead to the target's build."""
        build = links.link_to(self.lake, self.after, self.context.on_reached)
        return f"leads to {build.name}"

    def move_back(self) -> str:
        """Make silver's link lead where it led."""
        if "silver_before" not in self.facts:
            return "it was not moved"
        before = self.before
        if not before.is_dir():  # cut off for so long that a later build cleared it away
            before = self._built_before()
        build = links.link_to(self.lake, before, self.context.on_reached)
        return f"leads to {build.name} again"
