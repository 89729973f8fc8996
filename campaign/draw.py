"""What a trial does, drawn from a seed: plain values, so that a list can be shortened."""

from __future__ import annotations

import random
from typing import Any

Step = dict[str, Any]

_STEPS = {
    "load v1": 5, "load v2": 5, "refresh": 5, "update": 6, "ratios": 1, "parity": 3, "silver": 4,
    "cutover": 4, "rollback": 3, "drill": 1, "cleanup": 2, "restore": 3, "verify": 1, "export": 1,
    "import": 2, "publish": 3,
}  # fmt: skip
_TROUBLES = {
    "kill": 10, "power": 5, "timer": 5, "stop": 3, "ENOSPC": 4, "EIO": 4, "EROFS": 2, "size": 2,
    "clock": 4, "host": 2, "lie": 6, "faults": 4, "flip": 3, "delete": 3, "move": 1, "copy": 1,
    "beside": 6, "reader": 4, "old script": 2, "user": 3, "SIGINT": 3, "SIGTERM": 4,
}  # fmt: skip
# Of these one at a time: the process ends in one way, and a vendor has one lie.
SIGNALS = {"SIGINT", "SIGTERM"}
_ENDINGS = {"kill", "power", "timer", "ENOSPC", "EIO", "EROFS", "size"} | SIGNALS
LIES = ("empty", "half", "error", "strangers", "extremes", "changing", "huge")
READERS = ("pyarrow", "pandas", "polars", "duckdb", "library")
COMMAND_SHARE = 0.005
SIGNALLED_COMMAND_SHARE = 0.08  # what they promise depends on what the command does with them


def draw_steps(seed: int, count: int) -> list[Step]:
    """Return the steps of a trial."""
    return [_step(random.Random(f"{seed}.{number}")) for number in range(count)]


def draw_theirs(seed: int) -> bool:
    """Return whether a trial's lake has v1 in the form of another tool: one of four."""
    return random.Random(f"{seed}.form").random() < 0.25


def fits_theirs(trouble: dict[str, Any]) -> bool:
    """Return whether a trouble can be judged in a lake whose v1 another tool wrote.

    Its files have no checksums by which a flipped bit is noticed, and differ in their columns, of
    which Polars reads none then.
    """
    return trouble["kind"] != "flip" and trouble.get("engine") != "polars"


def _pick(draws: random.Random, weights: dict[str, int]) -> str:
    return draws.choices(list(weights), list(weights.values()))[0]


def _step(draws: random.Random) -> Step:
    troubles: list[dict[str, Any]] = []
    for _ in range(draws.choices((0, 1, 2, 3), (5, 55, 28, 12))[0]):
        kind = _pick(draws, _TROUBLES)
        others = {t["kind"] for t in troubles}
        ends = kind in _ENDINGS and others & _ENDINGS
        lies = {kind, *others} >= {"lie", "faults"}
        if kind not in others and not ends and not lies:
            troubles.append({"kind": kind, **_details(draws, kind)})
    step = {
        "step": _pick(draws, _STEPS),
        "draw": draws.randrange(10_000),
        "changes": [draws.random() for _ in range(draws.choice((0, 1, 1, 2, 4)))],
        "days": draws.choice((0, 0, 1, 3, 30)),
        "page": draws.choice((3, 8, 1000)),
        "troubles": troubles,
    }
    for trouble in troubles:
        if trouble["kind"] == "beside" and draws.random() < 0.4:
            trouble["step"] = step["step"]
    signalled = SIGNALS & {t["kind"] for t in troubles}
    if draws.random() < (SIGNALLED_COMMAND_SHARE if signalled else COMMAND_SHARE):
        step["command"] = True
    return step


def _details(draws: random.Random, kind: str) -> dict[str, Any]:
    if kind in ("kill", "power", "ENOSPC", "EIO", "EROFS"):
        # As many short ways as long ones: a load of nothing new makes few changes.
        at = int(10 ** draws.uniform(0, 2.7))
        return {"at": at, "times": draws.choice((1, 1, 1_000_000))}
    if kind in SIGNALS:
        soon = {"seconds": round(draws.uniform(0, 0.3), 4)}
        return draws.choice(({"at": int(10 ** draws.uniform(0, 2.7))}, soon))
    if kind in ("timer", "stop"):
        return {"seconds": round(draws.uniform(0, 0.3), 4)}
    if kind == "size":
        return {"size": draws.choice((0, 100, 2_000, 20_000))}
    if kind == "clock":
        return {"seconds": draws.choice((-86400, -10800, -3600, -1, 3600, 18000, 86400))}
    if kind == "lie":
        return {"lie": draws.choice(LIES)}
    if kind == "faults":
        rates = ("too_many", "server_error", "unavailable", "reset", "truncate", "html", "dup")
        return {"rates": {name: 0.1 for name in draws.sample(rates, 2)}}
    if kind in ("flip", "delete"):
        return {"which": draws.random(), "where": draws.random()}
    if kind == "old script":
        return {"draw": draws.randrange(10_000)}
    if kind == "beside":
        return {"step": _pick(draws, _STEPS), "draw": draws.randrange(10_000)}
    if kind == "user":
        return {"user": draws.choice((1, 2)), "umask": draws.choice((0o002, 0o002, 0o022, 0o077))}
    if kind == "reader":
        return {"engine": draws.choice(READERS)}
    return {}
