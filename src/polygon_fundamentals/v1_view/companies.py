"""Which tickers share companies, kept up with the lake's files."""

from __future__ import annotations

from collections.abc import Mapping

from polygon_fundamentals.v1_view import jobs
from polygon_fundamentals.v1_view.jobs import Company
from polygon_fundamentals.v1_view.lake_files import Packed, Place, archived_tickers
from polygon_fundamentals.v1_view.worker import Worker

# Tickers whose CIKs are looked up together.
TICKERS_AT_A_TIME = 500


class LookUp:
    """Looks up the CIKs of tickers whose files changed, and no others."""

    def __init__(self, root: str, worker: Worker) -> None:
        self._root = root
        self._worker = worker
        self._ciks: dict[str, tuple[str, ...]] = {}
        self._grouped: dict[str, tuple[str, ...]] = {}
        self._companies: Mapping[str, Company] = {}

    def archived_tickers(self, root: str) -> frozenset[str]:
        """Return what `lake_files.archived_tickers` returns, asked of the worker."""
        return self._worker.submit(archived_tickers, root).result()

    def forget(self, ticker: str) -> None:
        """Have a ticker whose files changed looked up again."""
        self._ciks.pop(ticker, None)

    def companies(self, files: Mapping[str, Mapping[Place, Packed]]) -> Mapping[str, Company]:
        """Return ticker → all tickers of its company; `files` are all that the lake has.

        The same object where nothing changed.

        Raises:
            DamagedFileError: v1's archived records cannot be read.
        """
        unknown = sorted(files.keys() - self._ciks.keys())
        for i in range(0, len(unknown), TICKERS_AT_A_TIME):
            some = {ticker: dict(files[ticker]) for ticker in unknown[i : i + TICKERS_AT_A_TIME]}
            ciks = self._worker.submit(jobs.run, "shelving.ciks_of_tickers", self._root, some)
            self._ciks |= ciks.result()
        if self._ciks != self._grouped:
            known = dict(self._ciks)
            groups = self._worker.submit(jobs.run, "shelving.companies_of", known).result()
            self._companies = {ticker: company for company in groups for ticker in company}
            self._grouped = known
        return self._companies
