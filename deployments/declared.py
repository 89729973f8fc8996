"""`prefect.yaml` as frozen models: what should be on the server. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from polygon_fundamentals.settings_file import read_yaml

ROOT = Path(__file__).parents[1]
FILE = ROOT / "prefect.yaml"

# An object of YAML or JSON, as it came.
JsonObject = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(_Model):
    """When a deployment is scheduled to run."""

    slug: str = Field(pattern=r"^[a-z0-9-]+$")
    cron: str
    timezone: Literal["America/New_York"]
    active: bool


class Concurrency(_Model):
    """How many runs of a deployment may go on at once, and what happens to one too many."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"]


class Pool(_Model):
    """Where the runs of a deployment go."""

    name: str
    job_variables: JsonObject = {}


class Deployment(_Model):
    """One deployment, complete: nothing is left to a default that a server may keep."""

    name: str
    entrypoint: str = Field(pattern=r"^flows\.[a-z_.]+$")
    description: str = Field(min_length=20)
    tags: list[str] = Field(min_length=1)
    parameters: JsonObject
    schedules: list[Schedule]
    concurrency_limit: Concurrency | None
    work_pool: Pool


class PrefectFile(_Model):
    """The whole file."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    definitions: JsonObject = {}
    build: list[JsonObject] | None = None
    push: list[JsonObject] | None = None
    pull: list[JsonObject] | None = None
    deployments: list[Deployment] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> PrefectFile:
        names = [deployment.name for deployment in self.deployments]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"deployment names are repeated: {', '.join(twice)}")
        return self

    def pull_steps(self) -> list[JsonObject]:
        """Return how a worker gets the code: as the file says, else this folder."""
        if self.pull is not None:
            return self.pull
        here = {"directory": str(ROOT)}
        return [{"prefect.deployments.steps.set_working_directory": here}]


def read(path: Path = FILE) -> PrefectFile:
    """Return what a `prefect.yaml` declares. Raises UsageError with all its faults."""
    return read_yaml(path, PrefectFile)
