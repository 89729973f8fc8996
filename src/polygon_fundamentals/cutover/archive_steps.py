"""The steps of cleanup: archive, prove, remove."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow.compute as pc

from polygon_fundamentals.cutover import archive_file, checksums, companions, verify
from polygon_fundamentals.cutover.context import V1_DEPLOYMENTS, SwitchContext
from polygon_fundamentals.cutover.journal import Journal
from polygon_fundamentals.cutover.originals import put_originals_back, take_originals
from polygon_fundamentals.cutover.other_writers import mend_others
from polygon_fundamentals.cutover.retention import Retention
from polygon_fundamentals.cutover.runner import Step
from polygon_fundamentals.errors import AnswerIsNo, LakeError
from polygon_fundamentals.lake.archived_lines import write_lines
from polygon_fundamentals.lake.archived_rows import drop_archived, write_archived, write_repeats
from polygon_fundamentals.lake.layout import check_layout
from polygon_fundamentals.lake.paths import (
    V1_ARCHIVE,
    Lake,
)
from polygon_fundamentals.lake.pointer import leads_to
from polygon_fundamentals.lake.read import read_dataset, repeated_rows
from polygon_fundamentals.lake.storage.local import flush_folder
from polygon_fundamentals.locks import exclusive, shared
from polygon_fundamentals.reports import counted
from polygon_fundamentals.statements import Generation, Statement


class ArchiveSteps:
    """What the steps of cleanup and of restore share.

    Every step may be repeated, and its methods return what they did, in words.
    """

    def __init__(self, lake: Lake, journal: Journal, context: SwitchContext) -> None:
        self.lake, self.journal, self.context = lake, journal, context
        self.facts = journal.facts
        self.folder = lake.bronze / V1_ARCHIVE
        self.restoring = lake.bronze / ".fundamentals_v1_restoring"

    @property
    def tar(self) -> Path:
        """The archive's path."""
        return self.lake.root / "archive" / self.facts["archive"]

    @property
    def manifest_path(self) -> Path:
        """The manifest's path, beside the archive."""
        return archive_file.manifest_of(self.tar)

    def drop_extracted(self) -> str:
        """Remove what was extracted."""
        shutil.rmtree(self.restoring, ignore_errors=True)
        return "removed"

    def drop_archived(self) -> str:
        """Remove the archived records, now that the folder itself is back."""
        for statement in Statement:
            drop_archived(self.lake.dataset(Generation.V1, statement))
        return "removed"


class Cleanup(ArchiveSteps):
    """The steps of cleanup under a journal."""

    def __init__(
        self, lake: Lake, journal: Journal, context: SwitchContext, retention: Retention
    ) -> None:
        super().__init__(lake, journal, context)
        self.retention = retention
        self.removing = lake.bronze / ".fundamentals_v1_removing"

    def cleanup_steps(self) -> list[Step]:
        """Return the steps of cleanup; without the data's days only the first."""
        retire = Step("retire deployments", self.retire)
        if not self.facts["data"]:
            return [retire]
        return [
            retire,
            *self._companion_steps(),
            Step("take checksums", self.describe, self.forget),
            Step("write archive", self.write, self.drop_archive),
            Step("read back", self.read_back, self.drop_extracted),
            Step("keep records", self.keep, self.drop_archived),
            Step("remove", self.remove, self.put_back),
        ]

    def _companion_steps(self) -> list[Step]:
        if not companions.companions(self.folder):
            return []
        return [Step("keep other data", self.move_companions)]

    def move_companions(self) -> str:
        """Move what v1's folder holds besides the statements to v2's: it stays at its path."""
        self._refuse_unless_on_v2()
        companions.refuse_unmovable(self.lake)
        names = companions.move_companions(self.lake)
        return f"left alone, at the same path: {companions.in_words(names)}"

    def retire(self) -> str:
        """Take v1's deployments out of service."""
        names = self.context.schedules.retire(V1_DEPLOYMENTS)
        return f"retired {', '.join(names)}" if names else "no deployment of v1 on a server"

    def describe(self) -> str:
        """Take the checksums of v1's files and write the manifest."""
        if self._removal_began():
            return "taken before"
        archive_file.refuse_unarchivable(self.folder)
        known = checksums.recorded(self.lake)
        if known is not None and (changed := checksums.changed_since(self.lake, known)):
            raise LakeError(
                f"{len(changed)} files of v1 are not what the recorded checksums say "
                f"({', '.join(changed[:3])}); find out what changed them, then record the "
                "checksums again with `polygon-fundamentals checklist --record-checksums`"
            )
        if damaged := verify.damaged_files(self.lake, Generation.V1):
            raise LakeError(
                f"{counted(len(damaged), 'file')} of v1 changed after they were written, such as "
                f"{damaged[0].file}: {damaged[0].reason}; an archive would keep the damage for "
                "good. `polygon-fundamentals verify` lists them all: restore them from a backup"
            )
        # An old script may have written rows of v1 through the pointer: they go along.
        with shared(self.lake.lock("writers"), 60.0, "the lake (a switch)"):
            mended = mend_others(self.lake)
        count = take_originals(self.lake, self.folder)
        manifest = archive_file.describe(self.folder, self.retention.scripts, self.retention.cron)
        manifest["companions"] = list(companions.shown(self.lake))
        archive_file.save_manifest(self.manifest_path, manifest)
        words = f"{len(manifest['files']):,} files"
        if count:
            words += f", with {count:,} originals that ops/adopted kept"
        return f"{words}; {mended}" if mended else words

    def forget(self) -> str:
        """Remove the manifest of an archive that was not made."""
        if self._removal_began():
            return "kept"
        put_originals_back(self.lake, self.folder)
        self.manifest_path.unlink(missing_ok=True)
        return "manifest removed"

    def write(self) -> str:
        """Write the archive."""
        if not self._removal_began():
            manifest = archive_file.load_manifest(self.manifest_path)
            manifest["sha256"] = archive_file.write(self.folder, manifest, self.tar)
            archive_file.save_manifest(self.manifest_path, manifest)
        return f"{self.tar.name}, {self.tar.stat().st_size:,} bytes"

    def drop_archive(self) -> str:
        """Remove an archive that is not needed."""
        if self._removal_began():
            return "kept"
        self.tar.unlink(missing_ok=True)
        return "archive removed"

    def read_back(self) -> str:
        """Restore the archive into a separate folder, compare it with the manifest and the lake.

        What a restore would refuse is found here, while v1 is still there.
        """
        manifest = archive_file.load_manifest(self.manifest_path)
        shutil.rmtree(self.restoring, ignore_errors=True)
        try:
            archive_file.extract(self.tar, manifest, self.restoring)
        finally:
            shutil.rmtree(self.restoring, ignore_errors=True)
        if not self._removal_began():
            archive_file.refuse_differences(
                checksums.checksums(self.folder), manifest, str(self.folder)
            )
        return f"{len(manifest['files']):,} files, the same in archive, manifest and lake"

    def keep(self) -> str:
        """Write v1's records, and the rows that they stand for, to files for silver and parity."""
        if self._removal_began():
            return "kept before"
        self.drop_archived()  # of a cleanup that was cut off: the files are what is to be kept
        count = 0
        for statement in Statement:
            dataset = self.lake.dataset(Generation.V1, statement)
            rows = read_dataset(dataset)
            write_repeats(dataset, repeated_rows(dataset, pc.unique(rows["ticker"]).to_pylist()))
            write_lines(dataset)
            count += write_archived(dataset, rows)
        return f"{count:,} records kept for silver"

    def remove(self) -> str:
        """Take v1's folder away under the lake's lock, then remove its files."""
        with exclusive(self.lake.lock("writers"), 60.0, "the lake (a load)"):
            if self.folder.is_dir() and not self.removing.exists():
                manifest = archive_file.load_manifest(self.manifest_path)
                _refuse_touched(self.folder, manifest)
                self._refuse_unless_on_v2()
                self.context.on_reached("archive proven")
                os.rename(self.folder, self.removing)
                flush_folder(self.lake.bronze)
        self.context.on_reached("folder taken away")
        if self.removing.exists():
            shutil.rmtree(self.removing)
        self.context.on_reached("files removed")
        return f"{self.folder.name} removed"

    def _refuse_unless_on_v2(self) -> None:
        # An empty mount point is a folder, too, but not v2: v1 is then all that there is.
        check_layout(self.lake)
        if leads_to(self.lake) is not Generation.V2:
            raise AnswerIsNo(f"{self.lake.pointer} leads to v1; nothing was removed")

    def _removal_began(self) -> bool:
        return not self.folder.is_dir()

    def put_back(self) -> str:
        """Bring the folder back: as it is where nothing is lost, else from the archive."""
        if self.folder.is_dir():
            return "the folder is there"
        manifest = archive_file.load_manifest(self.manifest_path)
        whole = self.removing.is_dir() and checksums.checksums(
            self.removing
        ) == archive_file.expected(manifest)
        if not whole:
            shutil.rmtree(self.restoring, ignore_errors=True)
            archive_file.extract(self.tar, manifest, self.restoring)
            shutil.rmtree(self.removing, ignore_errors=True)
            os.rename(self.restoring / archive_file.DATA, self.removing)
            shutil.rmtree(self.restoring)
        os.rename(self.removing, self.folder)
        flush_folder(self.lake.bronze)
        return "the folder is back"


def _refuse_touched(folder: Path, manifest: archive_file.Manifest) -> None:
    """Refuse files whose size or time of change is not the manifest's (read back just now)."""
    stamps = {}
    for path in checksums.walk(folder):
        stat = path.lstat()
        stamps[str(path.relative_to(folder))] = (stat.st_size, stat.st_mtime_ns)
    wanted = {n: (e["size"], e["mtime_ns"]) for n, e in manifest["files"].items()}
    links = manifest["links"]
    touched = sorted(
        n
        for n in stamps.keys() | wanted.keys()
        if n not in links and stamps.get(n) != wanted.get(n)
    )
    if touched:
        raise LakeError(
            f"{len(touched)} files of v1 changed while they were archived ({touched[0]}); "
            "nothing was removed. Stop what writes there, then run again"
        )
