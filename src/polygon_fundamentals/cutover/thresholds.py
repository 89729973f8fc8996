"""When a line of the checklist is met."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from polygon_fundamentals.settings_file import read_toml


class Thresholds(BaseModel):
    """When a line is met (`deployments/checklist.toml`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    business_days: int = Field(default=5, ge=1, description="successful days in a row")
    parity_tickers: int = Field(default=100, ge=1, description="compared, or all if fewer")
    run_time_ratio: float = Field(default=1.0, gt=0, description="v2's median over v1's")
    storage_ratio: float = Field(default=1.1, gt=0, description="v2's bytes over v1's")
    free_space_ratio: float = Field(default=1.5, ge=0, description="free bytes over v2's")
    drill_days: int = Field(default=7, ge=1, description="age of the last drill")


def load_thresholds(path: Path | None) -> Thresholds:
    """Return the thresholds of a TOML file, or the defaults without such a file.

    Raises UsageError where the file is not as it should be.
    """
    return read_toml(path, Thresholds)
