"""EDGAR's nightly zips of all companies, in place of many single requests."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from polygon_fundamentals.errors import EdgarUnreachableError
from polygon_fundamentals.reference.edgar import FACTS_ZIP, SUBMISSIONS_ZIP, Edgar


class Archives:
    """The two nightly zips; all threads may read them.

    `submissions` is a folder: that zip has a million members, whose list alone takes 600 MB, so
    another process takes out what is needed.
    """

    def __init__(self, facts: zipfile.ZipFile, submissions: Path) -> None:
        self._facts, self._submissions = facts, submissions

    @classmethod
    @contextmanager
    def fetched(cls, edgar: Edgar, folder: Path, ciks: Sequence[str]) -> Iterator[Archives]:
        """Yield what the zips have of some companies, written to a folder first.

        Raises as `Edgar.download`.
        """
        paths = {}
        for address in (FACTS_ZIP, SUBMISSIONS_ZIP):
            paths[address] = folder / address.rsplit("/", 1)[1]
            if not edgar.download(address, paths[address]):
                raise EdgarUnreachableError(f"SEC EDGAR is not reachable: {address} is not there")
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
                apart.submit(_extract, paths[SUBMISSIONS_ZIP], frozenset(ciks), folder).result()
            with zipfile.ZipFile(paths[FACTS_ZIP]) as facts:
                yield cls(facts, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise EdgarUnreachableError(
                f"SEC EDGAR is not reachable: a nightly zip is damaged ({error})"
            ) from error

    def company_facts(self, cik: str) -> bytes | None:
        """Return a companyfacts document, None where there is none."""
        try:
            return self._facts.read(f"CIK{cik}.json")
        except KeyError:
            return None

    def submissions(self, cik: str) -> bytes | None:
        """Return a submissions document, None where there is none."""
        return self.older_page(f"CIK{cik}.json")

    def older_page(self, name: str) -> bytes | None:
        """Return an older page of submissions, None where there is none."""
        try:
            return (self._submissions / Path(name).name).read_bytes()
        except FileNotFoundError:
            return None


def _extract(archive: Path, ciks: Collection[str], folder: Path) -> None:
    """Write the submissions of some companies, older pages too, from their zip into a folder."""
    with zipfile.ZipFile(archive) as submissions:
        for name in submissions.namelist():
            if name[3:13] in ciks:
                (folder / Path(name).name).write_bytes(submissions.read(name))
