"""How a project and its site are put in place.

A run builds them in a folder beside and puts them in place file by file, the site's index last, so
that a run that is killed at any moment leaves a whole project and site.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from polygon_fundamentals.lake.storage.local import link_or_copy, replace_file

RUNS_KEPT = 10
# The review pages, of up to some 3 MB each, and the summaries that their picture shows.
SUMMARIES_KEPT = 60


@contextmanager
def building(parity: Path, run: str, needed: Collection[str] | None = None) -> Iterator[Path]:
    """Yield a folder with a copy of `gx` and `data_docs`, and remove it afterwards.

    Old results and pages are not in the copy, but for the review pages of the runs in `needed`;
    None: all of them. Needs the lock of the lake's checkpoint, since it removes what killed builds
    left.
    """
    for dead in parity.glob(".building-*"):
        shutil.rmtree(dead, ignore_errors=True)
    folder = parity / f".building-{run}"
    for name in ("gx", "data_docs"):
        (folder / name).mkdir(parents=True)
        _copy(parity / name, folder / name)
    _prune(folder / "gx" / "validations", "*/*")
    _prune(folder / "data_docs" / "companies", "*")
    if needed is not None:
        _prune_reviews(folder / "data_docs" / "reviews", needed)
    _forget_unpublished(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder; link results and their pages, which are never rewritten."""
    for path in _files(source):
        relative = path.relative_to(source)
        if relative.parts[0] in ("plugins", "static", "runs"):
            continue
        if relative.parts[0] == "companies" and len(relative.parts) == 2:
            continue  # of an earlier version, whose pages named no run
        to = target / relative
        to.parent.mkdir(parents=True, exist_ok=True)
        if relative.parts[0] in ("validations", "reviews", "companies"):
            link_or_copy(path, to)
        else:
            shutil.copyfile(path, to)


def _prune(folder: Path, pattern: str) -> None:
    """Remove what is of all but the newest runs, each in a folder of its name; one is to come."""
    places = [path for path in folder.glob(pattern) if path.is_dir()]
    runs = sorted({path.name for path in places}, reverse=True)[: RUNS_KEPT - 1]
    for path in places:
        if path.name not in runs:
            shutil.rmtree(path, ignore_errors=True)


def _prune_reviews(folder: Path, needed: Collection[str]) -> None:
    """Remove all review pages but the newest, of which one is to come, and those of `needed`."""
    for page in sorted(folder.glob("*.html"), reverse=True)[SUMMARIES_KEPT - 1 :]:
        if page.stem.split("-", 1)[-1] not in needed:
            page.unlink()


def _forget_unpublished(folder: Path) -> None:
    """Remove the results that have no page: a run was killed while it put them in place.

    The site's index is written only when every result has its page.
    """
    results, pages = folder / "gx" / "validations", folder / "data_docs" / "validations"
    for path in _files(results):
        if (
            path.suffix == ".json"
            and not (pages / path.relative_to(results)).with_suffix(".html").exists()
        ):
            path.unlink()


def publish(built: Path, parity: Path, frames: Path) -> None:
    """Replace the last project and site by those just built, the index last.

    Then remove what is no longer part of them, and the frames of other runs.
    """
    last = built / "data_docs" / "index.html"
    every = [p for name in ("gx", "data_docs") for p in _files(built / name) if p != last]
    for path in [*every, last]:
        target = parity / path.relative_to(built)
        if target.is_file() and target.samefile(path):
            continue  # of an earlier run
        data = path.read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
    for name in ("gx", "data_docs"):
        wanted = {p.relative_to(built) for p in _files(built / name)}
        for path in _files(parity / name):
            if path.relative_to(parity) not in wanted and "__pycache__" not in path.parts:
                path.unlink(missing_ok=True)
        for folder in sorted((parity / name).rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    for other in frames.parent.iterdir():
        if other != frames:
            shutil.rmtree(other, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
