"""The sandbox itself: a local server that answers as both APIs do, and its controls."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import Any

from .edgar import Edgar
from .faults import FaultDice, Faults
from .fields import RATIOS_PATH, V1_PATH, V2_PATHS
from .oddities import oddities
from .planted import Planted
from .query import Params
from .server import ServedRequest, Server
from .world import World

_SUCCESSOR = (
    '<https://api.massive.com/stocks/financials/v1/income-statements>; rel="successor-version"'
)
#: The day that v1's own headers announced; used where a retired v1 has no other date.
_ANNOUNCED = date(2026, 10, 9)
_KEPT_RESULTS = 64
#: Rendered rows kept in memory before all are dropped and rendered anew when asked for.
_RENDERED_BYTES = 1_500_000_000


class Sandbox:
    """A local stand-in for the API with synthetic companies; see the package's docstring."""

    def __init__(
        self,
        *,
        companies: int = 60,
        seed: int = 7,
        start: date = date(2010, 1, 1),
        today: date = date(2026, 7, 1),
        api_key: str | None = "sandbox-key",
        latency: float = 0.0,
        faults: Faults | None = None,
        v1_sunset: date | None = None,
        v1_retired: bool = False,
        v1_brownout: float = 0.0,
        entitled: tuple[str, ...] = ("v1", "v2"),
        requests_per_minute: int | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        quirks: bool = True,
    ) -> None:
        if companies < 1:
            raise ValueError("companies must be at least 1")
        if start > today:
            raise ValueError("start must not lie after today")
        self.api_key = api_key
        self.latency = latency
        self.faults = faults or Faults()
        self.dice = FaultDice(self.faults, seed)
        self.v1_sunset = v1_sunset
        self.v1_retired = v1_retired
        self.v1_brownout = v1_brownout
        self.entitled = entitled
        self.requests_per_minute = requests_per_minute
        self._random = random.Random(seed + 1)
        self._world = World(companies, seed, start, today, quirks)
        self._lock = threading.RLock()
        #: EDGAR's side: what it answers next, and how busy it was.
        self.edgar = Edgar(self._world, self._lock)
        self._results: OrderedDict[tuple[object, ...], list[Any]] = OrderedDict()
        self._results_version = 0
        self._served: list[ServedRequest] = []
        self._recent: deque[float] = deque()
        self._address = (host, port)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    # Serving

    def start(self) -> Sandbox:
        """Bind the port and serve in the background; returns the sandbox itself."""
        if self._server is None:
            self._server = Server(self, *self._address)
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="sandbox", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and end every connection; harmless if nothing is served."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.drop_connections()
            server.server_close()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base address; RuntimeError while nothing is served."""
        if self._server is None:
            raise RuntimeError("the sandbox is not running: use `with sandbox:` or start()")
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    # What was asked

    def note(self, **served: Any) -> None:
        """Keep a record of one served request."""
        entry = ServedRequest(method="GET", **served)
        with self._lock:
            self._served.append(entry)

    @property
    def requests(self) -> list[ServedRequest]:
        """Every request since the start or the last `forget_requests`, in order."""
        with self._lock:
            return list(self._served)

    @property
    def request_count(self) -> int:
        """How many requests were served."""
        with self._lock:
            return len(self._served)

    def forget_requests(self) -> None:
        """Empty the list of served requests."""
        with self._lock:
            self._served.clear()
        self.edgar.forget_requests()

    # What there is

    @property
    def today(self) -> date:
        """The sandbox's clock: nothing filed later is served."""
        return date.fromordinal(self._world.today)

    @property
    def companies(self) -> int:
        """The number of companies, those included that only one generation knows."""
        return len(self._world.profiles)

    @property
    def tickers(self) -> list[str]:
        """Every symbol that v1 knows, sorted: those that a user may follow."""
        return sorted(self._world.by_v1_symbol)

    def rows(self, generation: str, statement: str | None = None) -> list[dict[str, Any]]:
        """Return all rows now served, unfiltered; v2 needs a statement, v1 takes none.

        Statements: balance_sheets, cash_flow, income_statements, ratios. Faults do not apply.
        """
        if generation == "v1":
            path = V1_PATH
        elif generation == "v2" and statement == "ratios":
            path = RATIOS_PATH
        elif generation == "v2":
            path = {name: path for path, name in V2_PATHS.items()}[statement or ""]
        else:
            raise ValueError(f"generation must be v1 or v2, not {generation!r}")
        with self._lock:
            return [json.loads(row.data) for row in self._world.select(path, {})]

    def page(self, path: str, params: Params, offset: int, limit: int) -> tuple[list[bytes], bool]:
        """Return one page of a query as rendered rows, and whether more follow."""
        rest = {k: v for k, v in params.items() if k != "limit"}
        with self._lock:
            if self._results_version != self._world.version:
                self._results.clear()
                self._results_version = self._world.version
            key = (path, *sorted(rest.items()))
            rows = self._results.get(key)
            if rows is None:
                rows = self._results[key] = self._world.select(path, rest)
                if len(self._results) > _KEPT_RESULTS:
                    self._results.popitem(last=False)
            else:
                self._results.move_to_end(key)
            self._world.trim(_RENDERED_BYTES)
            return [row.data for row in rows[offset : offset + limit]], offset + limit < len(rows)

    def warm(self, render: bool = True) -> None:
        """Render everything that is served now, so that no answer waits for it.

        Without `render` only the index is built that whole-market queries need: some 2 s for
        1,000 companies of 16 years, or for 5,000 of two.
        """
        with self._lock:
            self._world.warm(render)

    # What is odd, and what comes next

    @property
    def planted(self) -> list[Planted]:
        """All oddities and planted differences in effect today."""
        with self._lock:
            return oddities(self._world) + self._world.plantings.all()

    def plant(self, kind: str, **where: Any) -> Planted:
        """Plant a restatement or a vendor's error from now on; see `plant.Plantings.add`."""
        with self._lock:
            return self._world.plantings.add(kind, **where)

    def advance(self, days: int = 1) -> date:
        """Move the clock and return the new day: filings, restatements and splits arrive."""
        if days < 0:
            raise ValueError("the clock does not go back")
        with self._lock:
            self._world.advance(days)
            return self.today

    # Retirement, allowance

    @property
    def retired(self) -> bool:
        """Whether v1 is gone for good: told so, or its sunset has come."""
        return self.v1_retired or (self.v1_sunset is not None and self.today >= self.v1_sunset)

    def sunset_headers(self) -> dict[str, str]:
        """Return v1's Deprecation, Sunset and Link headers, none without a sunset."""
        day = self.v1_sunset
        if day is None and self.v1_retired:
            now = datetime.now(UTC).date()
            day = _ANNOUNCED if now > _ANNOUNCED else now - timedelta(days=30)
        if day is None:
            return {}
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return {
            "Deprecation": "true",
            "Sunset": format_datetime(at, usegmt=True),
            "Link": _SUCCESSOR,
        }

    def brownout(self) -> bool:
        """Draw whether this v1 request meets a brownout."""
        if not self.v1_brownout:
            return False
        with self._lock:
            return self._random.random() < self.v1_brownout

    def allow_request(self) -> bool:
        """Count a request against the allowance of the last 60 s; False beyond it."""
        if self.requests_per_minute is None:
            return True
        now = time.monotonic()
        with self._lock:
            while self._recent and now - self._recent[0] >= 60:
                self._recent.popleft()
            if len(self._recent) >= self.requests_per_minute:
                return False
            self._recent.append(now)
            return True
