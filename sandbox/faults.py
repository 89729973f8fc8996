"""Faults on request: what goes wrong with an answer, at which rate."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, fields

_WORDS = {"429": "too_many", "500": "server_error", "503": "unavailable"}


@dataclass(frozen=True)
class Faults:
    """Rates per request, each between 0 and 1, their sum at most 1.

    `too_many` (429) comes without a Retry-After header, `retry_after` is a 429 with one of
    0 or 1 s. `dup` repeats a row of the page, `foreign_next` names another host in next_url;
    the others replace or spoil the answer. `slow_seconds` is how long a slow answer takes.
    """

    too_many: float = 0.0
    retry_after: float = 0.0
    server_error: float = 0.0
    unavailable: float = 0.0
    reset: float = 0.0
    truncate: float = 0.0
    html: float = 0.0
    slow: float = 0.0
    dup: float = 0.0
    foreign_next: float = 0.0
    slow_seconds: float = 2.0

    def __post_init__(self) -> None:
        rates = [getattr(self, name) for name in RATES]
        if any(not 0 <= rate <= 1 for rate in rates) or sum(rates) > 1 + 1e-9:
            raise ValueError("fault rates must lie between 0 and 1 and add up to at most 1")

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read `429=.05,500=.05,reset=.03`; raises ValueError on an unknown word."""
        values: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            word, sign, number = part.partition("=")
            name = _WORDS.get(word.strip(), word.strip())
            if not sign or name not in {field.name for field in fields(cls)}:
                known = ", ".join([*_WORDS, *RATES[1:2], *RATES[4:], "slow_seconds"])
                raise ValueError(f"unknown fault '{part}'; write word=rate with one of {known}")
            values[name] = float(number)
        return cls(**values)


RATES: tuple[str, ...] = tuple(f.name for f in fields(Faults) if f.name != "slow_seconds")


class FaultDice:
    """Draws one fault, or none, for each request, in a fixed sequence from the seed."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self) -> str:
        """Return the name of the fault that this request meets, or an empty text."""
        with self._lock:
            u = self._random.random()
        for name in RATES:
            u -= getattr(self.faults, name)
            if u < 0:
                return name
        return ""

    def number(self, below: int) -> int:
        """Return a whole number from 0 up to, but not, `below`."""
        with self._lock:
            return self._random.randrange(below)
