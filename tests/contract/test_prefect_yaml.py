"""`prefect.yaml` against the flows' real signatures; no server is needed."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from deployments.declared import FILE, Deployment, read
from deployments.steps import differences
from flows.runtime import quiet
from polygon_fundamentals.cutover.context import V1_DEPLOYMENTS
from polygon_fundamentals.errors import UsageError

quiet.apply()
from prefect import Flow  # noqa: E402 - reads the environment when imported
from prefect.server.schemas.schedules import CronSchedule  # noqa: E402

from deployments.register import form  # noqa: E402

DECLARED = {deployment.name: deployment for deployment in read().deployments}


def flow_of(declared: Deployment) -> Flow[..., object]:
    module, name = declared.entrypoint.rsplit(".", 1)
    found = getattr(import_module(module), name)
    assert isinstance(found, Flow)
    return found


@pytest.mark.parametrize("name", DECLARED)
def test_parameters_are_the_flows_own_and_of_the_right_kind(name: str) -> None:
    flow = flow_of(DECLARED[name])
    known = flow.parameters.properties
    given = DECLARED[name].parameters
    assert set(given) <= set(known), f"{name} names parameters that {flow.name} does not have"
    required = set(flow.parameters.required)
    if not required:
        flow.validate_parameters(given)
    assert required <= {"tickers", "output"}, "a run from the UI can only be asked for these"


@pytest.mark.parametrize("name", DECLARED)
def test_every_parameter_shows_a_description_or_speaks_for_itself(name: str) -> None:
    flow = flow_of(DECLARED[name])
    assert flow.description
    for parameter, schema in flow.parameters.properties.items():
        assert schema.get("title"), f"{parameter} of {flow.name} has no title"


def test_descriptions_reach_the_form() -> None:
    found = form(flow_of(DECLARED["daily-both"]))["properties"]
    generation = (
        "v1 is the deprecated API, v2 the official one; of both, a v1 that answers 410 for good"
    )
    assert found["generation"]["description"] == f"{generation} is left out"
    assert found["day"]["description"] == "The last day to load; without it, today in New York"
    assert [name for name, schema in found.items() if not schema.get("description")] == []


def test_loads_share_their_parameters() -> None:
    """Prefect makes the form from each signature, so the three lists are held together here."""

    def shown(name: str) -> dict[str, dict[str, object]]:
        found = flow_of(DECLARED[name]).parameters.properties
        return {k: {a: b for a, b in v.items() if a != "position"} for k, v in found.items()}

    one, sharded, daily = shown("history-shard"), shown("history-sharded"), shown("daily-both")
    assert {k: v for k, v in sharded.items() if k != "shards"} == one
    shared = {k: v for k, v in daily.items() if k not in ("days_back", "day")}
    assert shared == {k: one[k] for k in shared}
    assert len(shared) == 9


def test_what_changes_the_lake_for_good_asks_to_be_told_so() -> None:
    executing = {
        d.name: d.parameters["execute"] for d in DECLARED.values() if "execute" in d.parameters
    }
    assert executing == {"cutover": False, "rollback": False, "cleanup": False}
    scheduled = {d.name for d in DECLARED.values() if d.schedules}
    assert not scheduled & set(executing)


def test_schedules_are_valid_and_only_the_parallel_operation_runs_daily() -> None:
    active = {}
    for declared in DECLARED.values():
        for schedule in declared.schedules:
            CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
            active[declared.name] = schedule.active
    daily = {name: on for name, on in active.items() if name.startswith("daily")}
    assert daily == {"daily-v1": False, "daily-v2": False, "daily-both": True}


def test_what_must_not_overlap_has_a_limit() -> None:
    without = {d.name for d in DECLARED.values() if d.concurrency_limit is None}
    assert without == {"history-shard", "fundamentals"}


def test_a_cleanup_retires_only_what_the_runbook_names() -> None:
    """As `ServerSchedules.retire` chooses them; nothing that loads v2 alone, or in shards."""
    retired = {
        d.name
        for d in DECLARED.values()
        if "parity" in d.tags or d.parameters.get("generation") in V1_DEPLOYMENTS
    }
    page = (FILE.parent / "docs" / "runbook.md").read_text(encoding="utf-8")
    _, _, item = page.partition("**30 days after the cutover**")
    assert set(re.findall("`([a-z0-9]+-[a-z0-9]+)`", item.partition("**90")[0])) == retired
    assert retired == {"history-v1", "daily-v1", "daily-both", "parity-nightly"}


def test_every_daily_deployment_says_its_generation() -> None:
    told = {
        n: (d.parameters["generation"], d.parameters["generation"] in d.tags)
        for n, d in DECLARED.items()
        if n.startswith("daily")
    }
    assert told == {
        "daily-v1": ("v1", True),
        "daily-v2": ("v2", True),
        "daily-both": ("both", True),
    }


@pytest.mark.parametrize(
    ("where", "key", "value", "told"),
    [
        ((), "deploymets", [], "deploymets: is not a key"),
        (("deployments", 0), "schedule", {"cron": "0 * * * *"}, "deployments.0.schedule: is not a"),
        (("deployments", 0), "entrypoint", "flows/x.py:f", "deployments.0.entrypoint"),
        (("deployments", 0), "name", "history-v2", "are repeated: history-v2"),
        (("deployments", 4, "schedules", 0), "active", None, "schedules.0.active"),
        (("deployments", 4, "schedules", 0), "timezone", "UTC", "schedules.0.timezone"),
        (("deployments", 4, "schedules", 0), "slugs", "x", "schedules.0.slugs: is not a key"),
    ],
)
def test_what_the_file_should_not_hold_is_refused(
    tmp_path: Path, where: tuple[str | int, ...], key: str, value: object, told: str
) -> None:
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    place = content
    for part in where:
        place = place[part]
    place[key] = value
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        read(file)


def test_no_file_and_no_yaml_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read .No such file.*; put the file back"):
        read(tmp_path / "prefect.yaml")
    (tmp_path / "prefect.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(UsageError, match=r"is not YAML .*; correct the file"):
        read(tmp_path / "prefect.yaml")


def test_differences_name_the_field_the_old_and_the_new() -> None:
    assert differences({"a": 1, "b": []}, {"a": 1, "b": [2]}) == ("b: [2] → none",)
