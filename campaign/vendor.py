"""The vendor: a sandbox in a process of its own, which lies when it is told to.

It remembers each row that it showed in an answer that came whole, by the key that asked: a step
asks with a key of its own, so the model knows which rows which step has seen.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

from campaign.facts import digest, v1_statements
from polygon_fundamentals.normalise.their_rows import plain
from sandbox import Faults, Sandbox, answers, server
from sandbox.fields import V1_PATH, V2_PATHS

SPOILED = ("reset", "truncate", "html", "foreign_next")
EXTREMES = (9007199254740993, 2**63 - 1, -(2**63), 1.7976931348623157e308, 5e-324, -0.0, 0.1)
STRANGER = "99999"
HUGE = 2_000_000  # bytes, more than a step of the campaign takes in one answer
Row = tuple[str, str, str, str, str]  # generation, statement, digest, CIK, filing date


class Vendor(Sandbox):
    """A sandbox with lies: `lie` is what it does to the rows of its answers.

    `theirs` says that the lake keeps v1 in another tool's form, which cannot hold an empty section.
    """

    def __init__(self, *, theirs: bool, **options: Any) -> None:
        super().__init__(api_key=None, **options)
        self.theirs = theirs
        self.lie = ""
        self.draws = random.Random(0)
        self.shown: dict[str, set[tuple[str, Row]]] = {}
        self._page = threading.local()
        self._memo: dict[bytes, list[Row]] = {}

    def page(self, path: str, params: Any, offset: int, limit: int) -> tuple[list[bytes], bool]:
        """Return a page as the lie has it; what it shows waits for `note`."""
        if self.lie == "changing" and self.draws.random() < 0.4:
            self.change(self.draws.random())
        rows, more = super().page(path, params, offset, limit)
        if path == V1_PATH or path in V2_PATHS:
            rows = self._told(rows, path)
            # Who is behind a ticker is asked without a timeframe; those rows are not stored.
            if path == V1_PATH or "timeframe.any_of" in params:
                window = any(name.startswith("filing_date") for name in params)
                self._page.rows = path, "window" if window else "all", rows
        return rows, more

    def note(self, **served: Any) -> None:
        """Remember the rows of an answer that came whole, under the key that asked."""
        shown, self._page.rows = getattr(self._page, "rows", None), None
        if shown is None or served["status"] != 200 or served["fault"] in SPOILED:
            return
        path, kind, rows = shown
        mine = self.shown.setdefault(served["headers"].get("authorization", "")[7:], set())
        for data in rows:
            mine.update((kind, row) for row in self.rows_of(path, data))

    def rows_of(self, path: str, data: bytes) -> list[Row]:
        """Return what a served row is in each dataset that holds it."""
        if data not in self._memo:
            row = json.loads(data)
            generation = "v1" if path == V1_PATH else "v2"
            names = [V2_PATHS[path]] if generation == "v2" else self._v1_datasets(row)
            about = str(row.get("cik") or "").zfill(10), str(row.get("filing_date") or "")
            self._memo[data] = [(generation, n, digest(generation, n, row), *about) for n in names]
        return self._memo[data]

    def _v1_datasets(self, row: dict[str, Any]) -> list[str]:
        return v1_statements(plain(row) if self.theirs else row)

    def served_now(self) -> list[Row]:
        """Return every row that an honest answer would hold now."""
        rows = []
        for path in (V1_PATH, *V2_PATHS):
            with self._lock:
                for row in self._world.select(path, {}):
                    rows += self.rows_of(path, row.data)
        return rows

    def change(self, draw: float) -> None:
        """Restate, withdraw or relabel a period, or take the last such change back."""
        made = random.Random(draw)
        planted = self._world.plantings._by_company
        with self._lock, suppress(ValueError):
            if planted and made.random() < 0.3:
                index = made.choice(sorted(planted))
                planted[index].pop()
                if not planted[index]:
                    del planted[index]
                self._world.forget([index])
                return
            kind = made.choice(("wrong_value", "restated", "withdraw", "relabel", "missing_field"))
            generation = "v2" if kind == "withdraw" else made.choice(("v1", "v2"))
            statement = made.choice(sorted(V2_PATHS.values()))
            rows = self._world.v2_rows(made.randrange(len(self._world.profiles)), statement)
            if rows:
                row = made.choice(rows)
                field = {"balance_sheets": ("total_assets", "assets")}.get(statement)
                field = field or {"income_statements": ("revenue", "revenues")}.get(statement)
                where = {"cik": row.owner.cik, "period_end": row.period_end}
                timeframe = {"timeframe": row.timeframe, "generation": generation}
                if kind in ("wrong_value", "restated", "missing_field"):
                    if field is None:
                        return
                    where["field"] = field[generation == "v1"]
                self.plant(kind, statement=statement, **where, **timeframe)

    def _told(self, rows: list[bytes], path: str) -> list[bytes]:
        if self.lie == "empty":
            return []
        if self.lie == "half":
            return [row for row in rows if self.draws.random() < 0.5]
        if self.lie == "strangers":
            return [
                self._edited(row, _stranger) if self.draws.random() < 0.3 else row for row in rows
            ]
        if self.lie == "extremes":
            return [
                self._edited(row, self._extreme) if self.draws.random() < 0.2 else row
                for row in rows
            ]
        return rows

    def _edited(self, data: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
        row = json.loads(data)
        edit(row)
        return json.dumps(row, separators=(",", ":")).encode()

    def _extreme(self, row: dict[str, Any]) -> None:
        value = self.draws.choice(EXTREMES)
        if "financials" in row:
            leaves = [leaf for lines in row["financials"].values() for leaf in lines.values()]
            if leaves:
                self.draws.choice(leaves)["value"] = value
            return
        names = [k for k, v in row.items() if isinstance(v, float | int) and "fiscal" not in k]
        if names:
            row[self.draws.choice(names)] = value


def _stranger(row: dict[str, Any]) -> None:
    row["cik"] = STRANGER + str(row.get("cik") or "")[-5:].zfill(5)
    row["tickers"] = ["ZZZZ"]


def _serve(commands: int, outward: int) -> None:
    """Carry out the driver's commands until it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is for the driver
    vendor: Vendor | None = None
    decide, parse_limit, largest = answers.decide, vars(answers)["parse_limit"], 1000

    def decided(of: Any, *words: Any) -> Any:
        answer = decide(of, *words)
        if of.lie == "huge":
            more = b'{"more":"' + b"x" * HUGE + b'",'
            return answers.Answer(answer.status, more + answer.body[1:], answer.headers)
        if of.lie != "error":
            return answer
        body = answer.body.replace(b'"status":"OK"', b'"status":"ERROR","error":"partial result"')
        return answers.Answer(answer.status, body, answer.headers)

    vars(server)["decide"] = decided
    vars(answers)["parse_limit"] = lambda *words: min(parse_limit(*words), largest)
    with os.fdopen(commands) as lines, os.fdopen(outward, "w") as out:
        for line in lines:
            do, given = json.loads(line)
            answer: Any = None
            if do == "new":
                if vendor:
                    vendor.stop()
                day = date(2025, 6, 1)
                quirks = given["seed"] % 3 == 0
                vendor = Vendor(
                    companies=3,
                    start=date(2024, 6, 1),
                    today=day,
                    seed=given["seed"],
                    quirks=quirks,
                    theirs=given["theirs"],
                )
                answer = {"url": vendor.start().url, "tickers": vendor.tickers}
            elif vendor is None:
                break
            elif do == "advance":
                answer = vendor.advance(given).isoformat()
            elif do == "change":
                vendor.change(given)
            elif do == "lie":
                vendor.lie, vendor.draws, largest = (
                    given["lie"],
                    random.Random(given["draw"]),
                    given["page"],
                )
                vendor.dice.faults = Faults(**given["faults"])
            elif do == "shown":
                answer = sorted(vendor.shown.pop(given, ()))
            elif do == "rows":
                answer = vendor.served_now()
            out.write(json.dumps(answer) + "\n")
            out.flush()


class VendorProcess:
    """The vendor's process, and the pipe that commands it."""

    def __init__(self) -> None:
        inward, commands = os.pipe()
        inside, outward = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(commands)
            os.close(inside)
            _serve(inward, outward)
            os._exit(0)
        os.close(inward)
        os.close(outward)
        self._commands, self._answers = os.fdopen(commands, "w"), os.fdopen(inside)

    def ask(self, do: str, given: Any = None) -> Any:
        """Have the vendor do something; return its answer."""
        self._commands.write(json.dumps([do, given]) + "\n")
        self._commands.flush()
        return json.loads(self._answers.readline())

    def close(self) -> None:
        """End the process."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
