"""What the migration will do to a lake that another tool wrote, and the steps to take, in order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from polygon_fundamentals.cutover.inspection import LakeInventory
from polygon_fundamentals.cutover.scanned_files import OURS
from polygon_fundamentals.cutover.steps import Progress, Step, steps_of
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER
from polygon_fundamentals.statements import Statement

# For each row of v1's files, lakes of 20 and 30 sandbox companies hold 3,300 bytes of v2 and 500 of
# a build of silver, of which three are kept. Without a rate limit, a market of 6,000 took 0.14 s a
# ticker of v2 and 0.81 s of v1 (docs/large-lakes.md). All rounded up.
V2_BYTES_A_RECORD = 3_500
SILVER_BYTES_A_RECORD = 1_500
V2_SECONDS_A_TICKER = 0.2
V1_SECONDS_A_TICKER = 0.9
# As loads ask: v2 for a batch of companies at once, v1 for a ticker's quarters and for its years.
TICKERS_A_REQUEST = 160
V1_REQUESTS_A_TICKER = 2


@dataclass(frozen=True)
class Fate:
    """What a load of both generations, a cutover and a cleanup do to one file or folder."""

    what: str
    load: str
    cutover: str
    cleanup: str


@dataclass(frozen=True)
class Needs:
    """Disk and time that the migration still takes; estimates, and what they are made of.

    `requests` are those of a load of v2, and `v1_requests` those of a load of v1, which `seconds`
    include only where v1 is not taken for retired.
    """

    bytes_needed: int
    bytes_free: int
    requests: int
    seconds: float
    v1_requests: int


@dataclass(frozen=True)
class Inspection:
    """The answer of `inspect`: `obstacles` are what must be settled before the first load."""

    inventory: LakeInventory
    fates: tuple[Fate, ...]
    needs: Needs
    obstacles: tuple[str, ...]
    progress: Progress
    steps: tuple[Step, ...]

    @property
    def exit_code(self) -> int:
        """0, or 1 where something stands in the way."""
        return 1 if self.obstacles else 0

    def as_json(self) -> dict[str, object]:
        """Return the inspection as JSON's own types."""
        content = asdict(self)
        progress = content.pop("progress")
        return {
            "found": content.pop("inventory"),
            **content,
            "steps": [step.words for step in self.steps],
            "steps_done": [step.done for step in self.steps],
            "v1": progress["endpoint"],
            "v2": progress["v2"],
            "ok": not self.obstacles,
        }


def advise(
    inventory: LakeInventory, progress: Progress, requests_per_minute: int | None
) -> Inspection:
    """Return what will happen to a lake, and the steps to take."""
    needs = _needs(inventory, progress, requests_per_minute)
    return Inspection(
        inventory,
        tuple(_fates(inventory)),
        needs,
        tuple(_obstacles(inventory, progress, needs)),
        progress,
        tuple(_steps(inventory, progress)),
    )


def _needs(inventory: LakeInventory, progress: Progress, limit: int | None) -> Needs:
    records = sum(statement.records for statement in inventory.statements)
    v1_bytes = sum(statement.bytes for statement in inventory.statements)
    is_loaded, tickers = "load" in progress.done, inventory.tickers
    requests = 0 if is_loaded else _v2_requests(tickers)
    of_v1 = (
        0 if is_loaded or progress.endpoint.state == "frozen" else V1_REQUESTS_A_TICKER * tickers
    )
    seconds = 0.0 if is_loaded else tickers * V2_SECONDS_A_TICKER
    asked = requests
    if not (is_loaded or progress.endpoint.retired):
        asked += of_v1
        seconds += tickers * V1_SECONDS_A_TICKER
    if limit:
        seconds = max(seconds, 60 * asked / limit)
    # Originals of what is rewritten, and the archive of a cleanup beside v1's own files.
    a_record = SILVER_BYTES_A_RECORD + (0 if is_loaded else V2_BYTES_A_RECORD)
    needed = records * a_record + 2 * v1_bytes
    free = shutil.disk_usage(inventory.lake).free
    return Needs(needed, free, requests, round(seconds, 1), of_v1)


def _v2_requests(tickers: int) -> int:
    """Return what a load of v2 asks: per batch once for its companies, then each statement.

    There are two batches at least, for two processes that write; a page holds a batch's rows.
    """
    batches = -(-tickers // TICKERS_A_REQUEST)
    return batches + len(Statement) * max(min(2, tickers), batches)


def _fates(inventory: LakeInventory) -> list[Fate]:
    foreign = {tool: n for tool, n in inventory.tools.items() if tool != OURS}
    fates = []
    if foreign:
        named = ", ".join(f"{n:,} by {tool}" for tool, n in foreign.items())
        fates.append(
            Fate(
                f"v1's files ({named})",
                "keep columns, types and sections; a file is rewritten only if some of its rows "
                "are new, changed or duplicates, and its original goes to ops/adopted",
                f"move to bronze/{V1_ARCHIVE} with their folder; readers see v2",
                "go to archive/, after 90 days, and can be restored",
            )
        )
    alike = sum(s.doubles_alike for s in inventory.statements)
    differing = sum(sum(s.doubles_differing.values()) for s in inventory.statements)
    if alike or differing:
        fates.append(
            Fate(
                f"duplicate rows ({alike:,} identical, {differing:,} different)",
                "count once; of different ones the later filing is kept, and the other goes to "
                "ops/revisions",
                "nothing",
                "nothing",
            )
        )
    if inventory.companions:
        fates.append(
            Fate(
                f"beside the statements: {', '.join(inventory.companions)}",
                "nothing",
                "stay at their path, linked through",
                "stay at their path, moved into v2's folder",
            )
        )
    if inventory.silver.state == "another's":
        fates.append(
            Fate(
                f"{inventory.silver.path}, a folder of {inventory.silver.files:,} files "
                f"({inventory.silver.pattern})",
                "nothing",
                "refused until `silver --adopt-path` has moved it aside",
                "nothing",
            )
        )
    return fates


def _obstacles(inventory: LakeInventory, progress: Progress, needs: Needs) -> list[str]:
    obstacles = []
    for statement in inventory.statements:
        if statement.unreadable:
            path, reason = statement.unreadable[0]
            obstacles.append(
                f"{len(statement.unreadable):,} files of {statement.statement} cannot be read, "
                f"such as {path} ({reason}): restore them, or move them away"
            )
    if not _has_v1(inventory) and not progress.v2.files:
        obstacles.append(
            f"no file of v1 below {Path(inventory.lake) / 'bronze' / 'fundamentals'}: "
            "is this the lake?"
        )
    if inventory.hidden:
        obstacles.append(
            f"{', '.join(inventory.hidden)}: in v1's folder and in bronze/{V2_FOLDER}, so a "
            "cutover would hide one; join the two in the first, remove the second"
        )
    if inventory.silver.state == "another's":
        obstacles.append(
            f"{inventory.silver.path} is another tool's folder: `silver --adopt-path` moves it "
            "aside, and `silver --give-path-back` puts it back"
        )
    if inventory.silver.foreign:
        obstacles.append(
            f"{len(inventory.silver.foreign):,} files in our build of silver are another tool's, "
            f"such as {inventory.silver.foreign[0]}: stop its job; `silver` moves them out"
        )
    if needs.bytes_free < needs.bytes_needed:
        obstacles.append(
            f"the disk has {needs.bytes_free / 1e9:,.1f} GB free, and the migration takes about "
            f"{needs.bytes_needed / 1e9:,.1f} GB: free some first"
        )
    return obstacles


def _steps(inventory: LakeInventory, progress: Progress) -> Iterator[Step]:
    if any(statement.unreadable for statement in inventory.statements):
        yield Step("restore the files that cannot be read, or move them away", False)
    if inventory.writers and set(inventory.tools) != {OURS}:
        yield Step(
            "leave the job that writes v1's files running until the cutover, or stop it now: "
            "`daily-update` does its work; never both for long",
            None,
        )
    yield from steps_of(
        progress,
        f"--lake {inventory.lake}",
        has_v1=_has_v1(inventory) or "cleanup" in progress.done or not progress.v2.files,
        adopt_path=inventory.silver.state == "another's",
    )


def _has_v1(inventory: LakeInventory) -> bool:
    return any(statement.files for statement in inventory.statements)
