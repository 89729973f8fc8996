"""The plan's targets: settings, each with a target and what is still acceptable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings_file import read_toml
from polygon_fundamentals.status.row import TARGET, Row


class Target(BaseModel):
    """One target; `higher_is_better` turns the comparison round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    unit: str
    target: float = Field(gt=0)
    acceptable: float
    higher_is_better: bool = False

    def verdict(self, measured: float | None) -> str:
        """Return `met`, `acceptable`, `missed` or `not measured`."""
        if measured is None:
            return "not measured"
        sign = -1 if self.higher_is_better else 1
        if sign * measured <= sign * self.target:
            return "met"
        return "acceptable" if sign * measured <= sign * self.acceptable else "missed"

    def at_limit(self, requests_per_minute: float) -> Target:
        """Return the target of a throughput, scaled from the plan's rate limit to this one."""
        acceptable = requests_per_minute * self.acceptable / self.target
        return self.model_copy(update={"target": requests_per_minute, "acceptable": acceptable})


# The plan's figures, as deployments/targets.toml has them, which says how each is measured.
PLANNED = {
    "download": Target(title="download of 1,000 tickers", unit="min", target=12, acceptable=18),
    "requests": Target(
        title="requests per minute", unit="", target=100, acceptable=80, higher_is_better=True
    ),
    "storage": Target(title="v2's storage of one year", unit="GB", target=1.5, acceptable=2.5),
    "memory": Target(title="peak memory", unit="GB", target=3, acceptable=5),
    "lag": Target(title="daily update done after", unit="min", target=30, acceptable=45),
}
# What to do where one is missed.
REMEDIES = {
    "download": "raise `POLYGON_THREADS`, then run `historical-load` again",
    "storage": "compare the sizes in `status --json`; change the target with the reason beside it",
    "memory": "lower `POLYGON_PROCESSES`, then run the load again",
    "lag": "look for late runs with `prefect flow-run ls`, then run `daily-update`",
}


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: dict[str, Target] = {}


@dataclass(frozen=True)
class Measured:
    """A target with what was measured; where nothing was, `missing` says why not."""

    name: str
    target: Target
    measured: float | None
    missing: str = ""

    @property
    def verdict(self) -> str:
        """`met`, `acceptable`, `missed` or `not measured`."""
        return self.target.verdict(self.measured)


def check_target(measured: Measured) -> Row:
    """Return the row on a target."""
    target, verdict = measured.target, measured.verdict
    unit = f" {target.unit}" if target.unit else ""
    if measured.measured is None:
        return Row(target.title, None, f"not measured: {measured.missing}", TARGET)
    value = f"{measured.measured:,g}{unit}" if measured.measured else f"less than 0.001{unit}"
    if target.unit == "min" and 0 < measured.measured < 1:
        value = f"{60 * measured.measured:,.0f} s"
    goal = f"target {target.target:,g}{unit}"
    if verdict == "met":
        return Row(target.title, True, f"{value} ({goal})", TARGET)
    reason = f"{value}: {verdict} ({goal}, acceptable {target.acceptable:,g}{unit})"
    remedy = REMEDIES.get(measured.name, "") if verdict == "missed" else ""
    return Row(target.title, verdict != "missed", reason, TARGET, remedy)


def load_targets(path: Path | None) -> dict[str, Target]:
    """Return the plan's targets with those of a TOML file (`[targets.NAME]`) put over them.

    Raises:
        UsageError: the file names an unknown target or holds an unusable value.
    """
    given = read_toml(path, _File).targets
    unknown = sorted(given.keys() - PLANNED.keys())
    if unknown:
        raise UsageError(
            f"{path}: {', '.join(unknown)} is not a target; the targets are {', '.join(PLANNED)}"
        )
    return PLANNED | given
