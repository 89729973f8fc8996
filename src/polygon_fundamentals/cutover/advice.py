"""What the migration will do to a lake that another tool wrote, and the steps to take, in order."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from polygon_fundamentals.cutover.inspection import LakeInventory
from polygon_fundamentals.cutover.scanned_files import OURS
from polygon_fundamentals.lake.paths import V1_ARCHIVE, V2_FOLDER
from polygon_fundamentals.statements import Statement

# For each row of v1's files, lakes of 20 and 30 sandbox companies hold 3,300 bytes of v2 and 500 of
# a build of silver, of which three are kept. Loading both generations of 300 companies took 0.35 s
# a ticker without a rate limit (docs/benchmarks.md). All rounded up.
V2_BYTES_A_RECORD = 3_500
SILVER_BYTES_A_RECORD = 1_500
SECONDS_A_TICKER = 0.5
TICKERS_A_REQUEST = 160
ROWS_A_REQUEST = 100


@dataclass(frozen=True)
class Fate:
    """What a load of both generations, a cutover and a cleanup do to one file or folder."""

    what: str
    load: str
    cutover: str
    cleanup: str


@dataclass(frozen=True)
class Needs:
    """Disk and time that the migration will take; estimates, and what they are made of."""

    bytes_needed: int
    bytes_free: int
    requests: int
    seconds: float


@dataclass(frozen=True)
class Inspection:
    """The answer of `inspect`: `obstacles` are what must be settled before the first load."""

    inventory: LakeInventory
    fates: tuple[Fate, ...]
    needs: Needs
    obstacles: tuple[str, ...]
    steps: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0, or 1 where something stands in the way."""
        return 1 if self.obstacles else 0

    def as_json(self) -> dict[str, object]:
        """Return the inspection as JSON's own types."""
        content = asdict(self)
        return {"found": content.pop("inventory"), **content, "ok": not self.obstacles}


def advise(inventory: LakeInventory, requests_per_minute: int | None) -> Inspection:
    """Return what will happen to a lake, and the steps to take."""
    needs = _needs(inventory, requests_per_minute)
    return Inspection(
        inventory,
        tuple(_fates(inventory)),
        needs,
        tuple(_obstacles(inventory, needs)),
        tuple(_steps(inventory)),
    )


def _needs(inventory: LakeInventory, limit: int | None) -> Needs:
    records = sum(statement.records for statement in inventory.statements)
    v1 = sum(statement.bytes for statement in inventory.statements)
    batches = -(-inventory.tickers // TICKERS_A_REQUEST)
    requests = len(Statement) * max(batches, -(-records // len(Statement) // ROWS_A_REQUEST))
    requests += inventory.tickers  # v1 is asked for each ticker by itself
    seconds = inventory.tickers * SECONDS_A_TICKER
    if limit:
        seconds = max(seconds, 60 * requests / limit)
    # Originals of what is rewritten, and the archive of a cleanup beside v1's own files.
    needed = records * (V2_BYTES_A_RECORD + SILVER_BYTES_A_RECORD) + 2 * v1
    return Needs(needed, shutil.disk_usage(inventory.lake).free, requests, round(seconds, 1))


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


def _obstacles(inventory: LakeInventory, needs: Needs) -> list[str]:
    obstacles = []
    for statement in inventory.statements:
        if statement.unreadable:
            path, reason = statement.unreadable[0]
            obstacles.append(
                f"{len(statement.unreadable):,} files of {statement.statement} cannot be read, "
                f"such as {path} ({reason}): restore them, or move them away"
            )
    if not any(statement.files for statement in inventory.statements):
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


def _steps(inventory: LakeInventory) -> list[str]:
    here = f"--lake {inventory.lake}"
    steps = []
    if any(statement.unreadable for statement in inventory.statements):
        steps.append("restore the files that cannot be read, or move them away")
    if inventory.writers and set(inventory.tools) != {OURS}:
        steps.append(
            "leave the job that writes v1's files running until the cutover, or stop it now: "
            "`daily-update` does its work; never both for long"
        )
    steps.append(
        f"polygon-fundamentals historical-load --generation v2 {here}  # both, if v1 still answers"
    )
    adopt = " --adopt-path" if inventory.silver.state == "another's" else ""
    steps += [
        f"polygon-fundamentals silver{adopt} {here}",
        f"polygon-fundamentals daily-update {here}  # on five business days",
        f"polygon-fundamentals parity {here}",
        f"polygon-fundamentals drill {here}",
        f"polygon-fundamentals checklist {here}  # below each unmet line is what to do",
        f"polygon-fundamentals cutover --execute {here}",
        f"polygon-fundamentals cleanup --execute {here}  # 90 days later",
    ]
    return steps
