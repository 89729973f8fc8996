"""Which shelf holds what, kept up with the lake while requests are answered.

A request takes one `State`: shelves are never changed, only replaced. The shelves of tickers whose
files changed are made again in another process, once the files have been still for a moment, and
are put in place together. They are bare at first, which takes a tenth of the time; the text of
what is asked for is read from the lake, row by row as the state has it. Full ones follow.

One process reads the lake for requests and for the background work, since two would take twice the
memory. The background work is therefore done in small jobs, between which requests are answered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from polygon_fundamentals.errors import FundamentalsError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.v1_view import jobs, shelf_file
from polygon_fundamentals.v1_view.companies import LookUp
from polygon_fundamentals.v1_view.jobs import Company
from polygon_fundamentals.v1_view.lake_files import LakeFiles, is_unsettled
from polygon_fundamentals.v1_view.query import Records
from polygon_fundamentals.v1_view.read_texts import WAIT_SECONDS, ReadTexts
from polygon_fundamentals.v1_view.shelf_file import Shelf
from polygon_fundamentals.v1_view.shelf_folder import ShelfFolder
from polygon_fundamentals.v1_view.state import NotReadyError, State, records_of
from polygon_fundamentals.v1_view.upkeep import Upkeep
from polygon_fundamentals.v1_view.view import View
from polygon_fundamentals.v1_view.worker import Worker

LOOK_SECONDS = 1.0
# A file that could not be read may be restored as it was, with its old time of change.
RETRY_SECONDS = 30.0
# One answer of v1 fills three datasets, one after another, within this time.
STILL_SECONDS = 0.5
# So long a load that never rests may keep readers on the state before it.
AT_LATEST_SECONDS = 10.0
# Made together by one job, in about a second: so long a request may wait for its turn.
BARE_COMPANIES = 10
# So many that changed are made with their texts at once.
FULL_COMPANIES = 40
# So long a reader who never rests may keep the texts of a company off their shelf.
YIELD_SECONDS = 5.0
# Published together: readers of the whole market put every state into their order.
FILLED_COMPANIES = 12

log = logging.getLogger("polygon_fundamentals.serve_v1")


class Index:
    """The shelves of a view of a lake; `start` and `stop` it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.lake = Lake(Path(view.root))
        self.state = State()
        self.upkeep = Upkeep()
        self._folder = ShelfFolder(self.lake, view.name)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._companies: Mapping[str, Company] = {}
        self._dirty: dict[str, tuple[float, float]] = {}  # ticker → first and last seen changed
        self._retried = time.monotonic()
        self._worker = Worker()
        self._look_up = LookUp(view.root, self._worker)
        self._files = LakeFiles(self.lake, self._look_up.archived_tickers)
        self.texts = ReadTexts(view.root, self._worker)
        self._building: dict[Company, Future[list[str]]] = {}
        self._thread = threading.Thread(target=self._keep_up, name="serve-v1-index", daemon=True)

    def start(self) -> None:
        """List the lake and take the shelves that are still good; go on in the background."""
        self._worker.submit(jobs.import_what_reads)  # a second for which no request should wait
        self._files.look()
        self.state = State(self._folder.good_shelves(self._files), frozenset(self._files.tickers))
        self._thread.start()

    def stop(self) -> None:
        """End the background work."""
        self._stop.set()
        self._worker.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._folder.close()

    def wait_until_complete(self, seconds: float) -> bool:
        """Wait until every ticker is on a shelf; return whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self.state.is_complete, seconds)

    def number(self, ticker: str | None, cik: str | None) -> int | None:
        """Return the number that `records` would give now; None where it would wait."""
        state = self.state
        if ticker is not None and ticker in state.tickers:
            shelf = state.shelves.get(ticker)
            return None if shelf is None else -shelf.number
        if not state.is_complete:
            return None
        return state.number if cik is None else state.number_of(cik)

    def records(self, ticker: str | None, cik: str | None) -> tuple[Records, int]:
        """Return the records among which a query finds its own, and the number of their state.

        Raises:
            NotReadyError: they are not read yet, after some seconds of waiting.
            UnreadableError: a file of the lake cannot be read.
        """
        state = self.state
        if ticker is not None and ticker in state.tickers:
            shelf = state.shelves.get(ticker) or self._shelf_now(ticker)
            return records_of(shelf), -shelf.number
        if not state.is_complete and not self.wait_until_complete(WAIT_SECONDS):
            state = self.state
            raise NotReadyError(
                f"{len(state.shelves)} of {len(state.tickers)} tickers have been read from the "
                "lake so far; queries by ticker are already answered"
            )
        state = self.state
        if cik is not None:
            return state.among(cik), state.number_of(cik)
        return state.everything, state.number

    def _shelf_now(self, ticker: str) -> Shelf:
        """Return the shelf of a ticker that is not on one yet, made at once."""
        until = time.monotonic() + WAIT_SECONDS
        with self._changed:
            self._changed.wait_for(
                lambda: ticker in self._companies or ticker in self.state.shelves, WAIT_SECONDS
            )
            if ticker in self.state.shelves:
                return self.state.shelves[ticker]
            company = self._companies.get(ticker)
            if company is None:
                raise NotReadyError(f"{ticker} has not been read from the lake yet")
            future = self._building.get(company)
            if future is None:
                # Full at once: reading the texts of a bare one takes as long again.
                future = self._worker.answer(
                    jobs.run,
                    "shelving.make_shelves",
                    self.view,
                    str(self._folder.path),
                    [company],
                )
                self._building[company] = future
        try:
            paths = future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            raise NotReadyError(f"{ticker} has not been read from the lake yet") from None
        except (FundamentalsError, OSError, BrokenProcessPool) as error:
            with self._lock:
                self._building.pop(company, None)
            raise NotReadyError(f"{ticker} cannot be read at the moment") from error
        with self._changed:
            self._building.pop(company, None)
            if ticker not in self.state.shelves:
                self._publish(_load(paths))
            if ticker in self.state.shelves:
                return self.state.shelves[ticker]
        # Its files are gone, or another server has put a shelf in place of this one.
        raise NotReadyError(f"{ticker} cannot be read at the moment")

    def _publish(self, shelves: Iterable[Shelf]) -> None:
        """Put shelves in place of those of the same tickers; the lock is held.

        A ticker that came or went a moment ago changes nothing until its files have been still.
        """
        published = dict(self.state.shelves)
        for shelf in shelves:
            if shelf.error is not None:
                log.error("%s", shelf.error)
            published |= dict.fromkeys(shelf.digests, shelf)
        tickers, moving = frozenset(self._files.tickers), frozenset(self._dirty)
        for ticker in published.keys() - tickers - moving:
            del published[ticker]
        self.state = State(published, (tickers - moving) | published.keys())
        self._changed.notify_all()

    def _keep_up(self) -> None:
        pending: dict[str, Shelf] = {}
        while not self._stop.is_set():
            try:
                self._step(pending)
                self.upkeep.succeeded()
            except Exception as error:  # noqa: BLE001 - else an old state is served for ever
                if not self._stop.is_set():  # else the workers were stopped under a step
                    self.upkeep.failed(error)
            may_wait = self._dirty or (self.state.is_complete and self.state.is_full)
            self._stop.wait(LOOK_SECONDS if may_wait else 0.05)

    def _step(self, pending: dict[str, Shelf]) -> None:
        """Look at the lake once, and make the shelves that are due."""
        now = time.monotonic()
        self._look(now)
        by_ticker = self._look_up.companies(self._files.tickers)
        with self._changed:
            if by_ticker is not self._companies:
                self._companies = by_ticker
                self._changed.notify_all()
                return  # requests that waited for it have their turn first
        due = self._due(now)
        if due:
            companies = self._companies_of(due)
            # Of a few, full ones at once: until they are there, the state before is served.
            bare = len(companies) > FULL_COMPANIES
            together = BARE_COMPANIES if bare else 1
            for i in range(0, len(companies), together):
                for shelf in _load(self._made(companies[i : i + together], bare=bare)):
                    pending |= dict.fromkeys(shelf.digests, shelf)
            self._look(time.monotonic())
            for ticker in set(due) - self._files.tickers.keys():
                pending.pop(ticker, None)
                self._dirty.pop(ticker, None)
            for ticker, shelf in pending.items():
                if shelf.digests[ticker] == self._files.digests([ticker])[ticker]:
                    self._dirty.pop(ticker, None)
        is_late = any(now - first > AT_LATEST_SECONDS for first, _ in self._dirty.values())
        if pending and (not self._dirty or is_late):
            with self._changed:
                self._publish({s.number: s for s in pending.values()}.values())
            pending.clear()
        if not self._dirty:
            self._warm_up()
        self._worker.rest()

    def _look(self, now: float) -> None:
        """Note which tickers' files changed since the last look, or could not be read before."""
        changed = self._files.look()
        if now - self._retried > RETRY_SECONDS:
            self._retried = now
            changed |= {t for s in self.state.distinct if s.error is not None for t in s.digests}
        for ticker in changed:
            self._dirty[ticker] = (self._dirty.get(ticker, (now, now))[0], now)
            self._look_up.forget(ticker)

    def _due(self, now: float) -> list[str]:
        """Return the changed tickers whose files have been still, or have changed for too long."""
        late = {t for t, (first, _) in self._dirty.items() if now - first > AT_LATEST_SECONDS}
        still = {t for t, (_, last) in self._dirty.items() if now - last >= STILL_SECONDS}
        if still and is_unsettled(self.lake, still):
            still = {t for t in still if not is_unsettled(self.lake, [t])}
        return sorted(late | still)

    def _companies_of(self, tickers: Collection[str]) -> list[Company]:
        """Return the companies of some tickers, with all that stood on their shelves before."""
        wanted = self.state.with_shelf_mates(tickers) & self._files.tickers.keys()
        return sorted({self._companies.get(ticker, (ticker,)) for ticker in wanted})

    def _made(self, companies: Sequence[Company], *, bare: bool) -> list[str]:
        """Make the shelves of some companies in the background; return their files."""
        arguments = (self.view, str(self._folder.path), companies, bare)
        return list(self._worker.submit(jobs.run, "shelving.make_shelves", *arguments).result())

    def _warm_up(self) -> None:
        """Make the bare shelves of some tickers that are on none yet, then some full ones."""
        known = self._companies
        missing = [t for t in self._files.tickers if not self.state.has_shelf(known.get(t, (t,)))]
        if not missing:
            if self.state.tickers != self._files.tickers.keys():
                with self._changed:
                    self._publish(())
            bare = [tuple(s.digests) for s in self.state.distinct if not s.is_full]
            if bare:
                self._fill(bare[:FILLED_COMPANIES])
            return
        wanted = set(missing)
        companies = [c for c in dict.fromkeys(self._companies.values()) if wanted & set(c)]
        companies += [(t,) for t in missing if t not in self._companies]
        paths = self._made(companies[:BARE_COMPANIES], bare=True)
        with self._changed:
            self._publish(_load(paths))

    def _fill(self, companies: Sequence[Company]) -> None:
        """Put the texts of some companies' records on their shelves."""
        paths: list[str] = []
        for company in companies:
            until = time.monotonic() + YIELD_SECONDS
            while self._worker.is_asked and time.monotonic() < until and not self._stop.is_set():
                self._stop.wait(0.05)
            paths += self._worker.submit(
                jobs.run, "shelving.fill_shelves", self.view, str(self._folder.path), [company]
            ).result()
        shelves = _load(paths)
        with self._changed:
            # What changed since the last look is for the next one, with all beside it.
            self._publish(s for s in shelves if s.digests == self._files.digests(s.digests))


def _load(paths: Sequence[str]) -> list[Shelf]:
    return [shelf for path in paths if (shelf := shelf_file.load(Path(path))) is not None]
