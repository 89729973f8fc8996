"""The whole publish: the lake's id, its lock, the build that readers see, and table by table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from polygon_fundamentals.errors import LakeError, PublishError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.ledger import read_entries
from polygon_fundamentals.ledger.queries import published_versions
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.publish.delta import Provenance, TableReport, publish_table
from polygon_fundamentals.publish.sources import TableSource, bronze_table, silver_tables
from polygon_fundamentals.publish.target import PublishChoices, Target
from polygon_fundamentals.silver import Build, current_build
from polygon_fundamentals.statements import Generation, Statement

LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class PublishReport:
    """What was published where: the build, its generation, and what became of each table."""

    to: str
    build: str
    generation: str
    tables: tuple[TableReport, ...]

    @property
    def message(self) -> str:
        """What was done, in one line."""
        written = [
            f"{t.table} version {t.version} ({t.partitions_written} partitions)"
            for t in self.tables
            if t.committed
        ]
        same = [t.table for t in self.tables if not t.committed]
        done = f"published {', '.join(written)}" if written else "nothing to publish"
        left = f"; unchanged: {', '.join(same)}" if same else ""
        return f"{done}{left}; build {self.build} in {self.to}"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "to": self.to,
            "build": self.build,
            "generation": self.generation,
            "tables": [asdict(table) for table in self.tables],
        }


def publish(lake: Lake, target: Target, run: str, choices: PublishChoices) -> PublishReport:
    """Publish the build that readers of silver see, and what was asked for; return the report.

    Each table gets one commit. If a table cannot be written, those before it are published, those
    after it stay as they were, and the text says which; the next publish does the rest.

    Raises:
        LakeError: silver was not built yet.
        LakeLockedError: another publish of this lake goes on.
        PublishError: a table could not be written, or is gone from where it was published.
    """
    reports: list[TableReport] = []
    with exclusive(lake.lock("publish"), LOCK_SECONDS, "the publishing of this lake"):
        # Under the lock: of several that wait, the last must not bring back an older build.
        build = current_build(lake)
        if build is None:
            raise LakeError("silver was not built yet; build it with `polygon-fundamentals silver`")
        provenance = Provenance(lake_id(lake), build.id, build.generation, run)
        before = published_versions(read_entries(lake)[0], target.url)
        for source in _sources(lake, build, bronze=choices.bronze):
            try:
                version = before.get(source.name)
                report = publish_table(source, target, provenance, choices, version)
            except PublishError as error:
                done = ", ".join(t.table for t in reports if t.committed)
                if not done:
                    raise
                raise PublishError(f"{error}. Published before it: {done}") from error
            reports.append(report)
    return PublishReport(target.url, build.id, build.generation, tuple(reports))


def lake_id(lake: Lake) -> str:
    """Return what this lake is called in commits, wherever it is mounted; made the first time."""
    path = lake.ops / "publish" / "lake-id"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        made = uuid.uuid4().hex
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, f"{made}\n".encode())
        return made


def _sources(lake: Lake, build: Build, *, bronze: bool) -> Iterator[TableSource]:
    yield from silver_tables(build)
    if bronze:
        generation = Generation(build.generation)
        yield from (bronze_table(lake, generation, statement) for statement in Statement)
