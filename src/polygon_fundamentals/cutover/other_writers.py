"""What other tools write into a lake that ours loads: found by any command, mended by the loads."""

from __future__ import annotations

from datetime import UTC, datetime

from polygon_fundamentals.cutover.quarantine import foreign_files, quarantine_foreign_files
from polygon_fundamentals.lake import their_form
from polygon_fundamentals.lake.listing import OtherWriters
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.recovery import rewritten_since, take_in
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.silver import foreign, links
from polygon_fundamentals.statements import Generation, Statement


def _theirs(lake: Lake) -> bool:
    """Say whether v1's folder is there, in another tool's form, and was decided to stay so."""
    is_decided = their_form.form_file(lake).exists()
    dataset = lake.dataset(Generation.V1, Statement.BALANCE_SHEETS)
    return is_decided and not lake.pointer.is_symlink() and their_form.keeps_form(dataset)


def other_writers(lake: Lake) -> OtherWriters:
    """Return what another tool wrote that no load has mended yet. Nothing is written."""
    v1, v2 = list[str](), list[str]()
    if _theirs(lake):
        for statement in Statement:
            dataset = lake.dataset(Generation.V1, statement)
            files = (dataset.file(s.partition, s.ticker) for s in rewritten_since(dataset))
            v1 += [str(file.relative_to(lake.root)) for file in files]
    if lake.pointer.is_symlink() and lake.primary is Generation.V2:
        v2 = [
            str(dataset.file(partition, ticker).relative_to(lake.root))
            for dataset, partition, ticker in foreign_files(lake)
        ]
    link = links.link_of(lake)
    silver = foreign.foreign_files(link) if link.is_symlink() else []
    return OtherWriters(tuple(sorted(v1)), tuple(sorted(v2)), tuple(silver))


def mend_others(lake: Lake) -> str | None:
    """Mend what another tool wrote since the last load; return that in one line, or None.

    Files of v1 are taken in, their doubles out; those among v2's go to the quarantine. The list is
    in a file.

    Raises:
        DamagedFileError, OSError: a file cannot be read or written.
    """
    lines = []
    if _theirs(lake):
        for statement in Statement:
            for path in take_in(lake.dataset(Generation.V1, statement)):
                lines.append(
                    f"{path.relative_to(lake.root)} was written by something else: taken in"
                )
    quarantined = quarantine_foreign_files(lake)
    lines += [file_moved.sentence() for file_moved in quarantined]
    if not lines:
        return None
    moment = datetime.now(UTC)
    file = lake.ops / "quarantine" / f"{moment:%Y%m%dT%H%M%S%f}Z.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, "".join(f"{line}\n" for line in lines).encode())
    lost = sum(file_moved.v2_rows_lost for file_moved in quarantined)
    words = f"{len(lines):,} files were written by something else and are mended"
    if lost:
        words += f"; {lost:,} v2 rows are to be loaded again"
    return f"{words}: {file} lists them"
