"""The Great Expectations project of a lake: read, written and run."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

# Read by Great Expectations when it is imported.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import orjson
import yaml
from great_expectations.checkpoint.checkpoint import CheckpointResult
from great_expectations.core import ExpectationSuite, RunIdentifier
from great_expectations.exceptions import GreatExpectationsError

from expectations import plugin
from expectations.plugin.base import JsonObject
from expectations.publishing import RUNS_KEPT
from expectations.suites import identity
from polygon_fundamentals.errors import UsageError

NAME = "parity"
PLUGIN = "polygon_parity"
# Of the layout below. A folder of a later one is left alone.
FORMAT = 1
LISTED = 50
DOCS_ACTION = {"name": "data docs", "type": "update_data_docs", "site_names": ["data_docs"]}
# The stored project reads its rules from its plugins; in this process they are there already.
sys.modules[PLUGIN] = plugin

_README = f"""\
# The Great Expectations project of this lake's parity

    import great_expectations as gx
    context = gx.get_context(context_root_dir="…/ops/parity/gx")
    context.suites.all()                       # the rules
    context.checkpoints.get("{NAME}").run()     # evaluates them on the data of the last run again

You need not import anything else: the rules are in plugins/{PLUGIN}, which the store of the suites
imports. ../frames holds the data of the last run (by its absolute path: if you moved the lake, run
parity there), and validations/ the results of the last {RUNS_KEPT}.

Each run of `polygon-fundamentals parity` writes suites, frames and plugins again, from
expectations/tolerances.yaml and expectations/accepted.yaml: change those. Actions that you add to
checkpoints/{NAME}.json and settings that you add to great_expectations.yml stay.
"""


class ProjectError(UsageError):
    """The lake's Great Expectations project cannot be used as it is."""


def read_actions(project: Path) -> list[JsonObject]:
    """Return the actions that users added to the stored checkpoint. Raises ProjectError."""
    path = project / "checkpoints" / f"{NAME}.json"
    try:
        actions = orjson.loads(path.read_bytes())["actions"]
        return [action for action in actions if action["type"] != DOCS_ACTION["type"]]
    except FileNotFoundError:
        return []
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise _nonsense(path, "is not a checkpoint of Great Expectations") from error


def read_settings(project: Path) -> JsonObject:
    """Return the settings in great_expectations.yml, empty without one. Raises ProjectError."""
    path = project / "great_expectations.yml"
    version = project / "format"
    if version.is_file() and version.read_text().strip() != str(FORMAT):
        raise _nonsense(version, f"names format {version.read_text().strip()[:20]!r}, not {FORMAT}")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _nonsense(path, f"is not YAML ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(settings, dict) or settings.get("config_version") != 4.0:
        raise _nonsense(path, "does not say config_version: 4.0")
    for name in ("data_docs_sites", "fluent_datasources", "stores"):
        if not isinstance(settings.get(name), dict):
            raise _nonsense(path, f"has no {name}")
    return settings


def _nonsense(path: Path, what: str) -> ProjectError:
    root = next((p for p in path.parents if p.name == "gx"), path.parent)
    return ProjectError(
        f"{path} {what}; correct it, or move {root} away: the next run of parity creates it again"
    )


def write_project(
    project: Path,
    suites: Sequence[ExpectationSuite],
    settings: Mapping[str, Any],
    actions: Sequence[Mapping[str, Any]],
    frames: Path,
) -> None:
    """Write the project, whose assets are the files of `frames`."""
    names = [suite.name for suite in suites]
    for suite in suites:
        _write_json(project / "expectations" / f"{suite.name}.json", suite.to_json_dict())
        _write_json(
            project / "validation_definitions" / f"{suite.name}.json", _definition(suite.name)
        )
    checkpoint = {
        "name": NAME,
        "id": identity("checkpoint"),
        "validation_definitions": [{"name": n, "id": identity("definition", n)} for n in names],
        "actions": [DOCS_ACTION, *actions],
        "result_format": {"result_format": "SUMMARY", "partial_unexpected_count": LISTED},
    }
    _write_json(project / "checkpoints" / f"{NAME}.json", checkpoint)
    ours = _settings(names, frames.resolve())
    merged = {**settings, **ours}
    for name in ("data_docs_sites", "fluent_datasources"):
        merged[name] = {**settings.get(name, {}), **ours[name]}
    if merged != settings:
        text = yaml.safe_dump(merged, sort_keys=False)
        (project / "great_expectations.yml").write_text(text, encoding="utf-8")
    (project / "README.md").write_text(_README, encoding="utf-8")
    (project / "format").write_text(f"{FORMAT}\n")
    source = Path(plugin.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, project / "plugins" / PLUGIN, ignore=ignored, dirs_exist_ok=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def _definition(name: str) -> JsonObject:
    """A validation definition: a suite, and the frame that it is asked of."""
    return {
        "name": name,
        "id": identity("definition", name),
        "data": {
            "datasource": {"name": name, "id": identity("source", name)},
            "asset": {"name": name, "id": identity("asset", name)},
            "batch_definition": {"name": name, "id": identity("batch", name)},
        },
        "suite": {"name": name, "id": identity(name)},
    }


def _store(kind: str, folder: str, **more: str) -> JsonObject:
    backend = {
        "class_name": "TupleFilesystemStoreBackend",
        "base_directory": folder,
        "suppress_store_backend_id": True,
    }
    return {"class_name": kind, **more, "store_backend": backend}


def _settings(names: Iterable[str], frames: Path) -> JsonObject:
    """Our part of great_expectations.yml.

    The path of the frames is absolute, since Great Expectations resolves a relative one from the
    process's working directory. Each frame has a source of its own, since validators of one source
    can evaluate the batch of another asset (seen with 1.24.1).
    """
    pages = {"view": {"module_name": PLUGIN, "class_name": "ParityPages"}}
    lake = str(frames.parents[3])  # of its ops/parity/frames/RUN
    return {
        "config_version": 4.0,
        "plugins_directory": "plugins/",
        "stores": {
            "expectations_store": _store("ExpectationsStore", "expectations/", module_name=PLUGIN),
            "validation_results_store": _store("ValidationResultsStore", "validations/"),
            "checkpoint_store": _store("CheckpointStore", "checkpoints/"),
            "validation_definition_store": _store(
                "ValidationDefinitionStore", "validation_definitions/"
            ),
        },
        "expectations_store_name": "expectations_store",
        "validation_results_store_name": "validation_results_store",
        "checkpoint_store_name": "checkpoint_store",
        "data_docs_sites": {
            "data_docs": {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": "../data_docs/",
                },
                "site_index_builder": {
                    "module_name": PLUGIN,
                    "class_name": "ParityIndex",
                    "view": {
                        "module_name": PLUGIN,
                        "class_name": "ParityIndexPages",
                        "lake": lake,
                    },
                },
                "site_section_builders": {
                    "expectations": pages,
                    "validations": pages,
                    "profiling": "None",
                },
            }
        },
        "fluent_datasources": {name: _source(name, frames) for name in names},
        "progress_bars": {"globally": False, "metric_calculations": False},
        "analytics_enabled": False,
        "data_context_id": identity("context"),
    }


def _source(name: str, frames: Path) -> JsonObject:
    batch = {
        "id": identity("batch", name),
        "partitioner": {"regex": f"{name}\\.parquet$", "param_names": []},
    }
    asset = {"type": "parquet", "id": identity("asset", name), "batch_definitions": {name: batch}}
    return {
        "type": "pandas_filesystem",
        "id": identity("source", name),
        "base_directory": str(frames),
        "assets": {name: asset},
    }


def run_checkpoint(project: Path, stored: Path, run: str, started: datetime) -> CheckpointResult:
    """Run the checkpoint of a project on its frames; its results and site go to the project.

    `project` is still being built; `stored` is its place in the lake, for messages. Raises
    ProjectError where Great Expectations cannot read what a user added.
    """
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    path = list(sys.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = gx.get_context(mode="file", context_root_dir=str(project))
            checkpoint = context.checkpoints.get(NAME)
    except (GreatExpectationsError, ValueError, TypeError, KeyError) as error:
        what = f"cannot be loaded ({' '.join(str(error).split())[:200]})"
        raise _nonsense(stored / "checkpoints" / f"{NAME}.json", what) from error
    finally:
        sys.path[:] = path  # Great Expectations appends the plugins, which are loaded already
    result = checkpoint.run(run_id=RunIdentifier(run_name=run, run_time=started))
    for source in context.data_sources.all().values():
        # The context outlives the run, and its engines would keep every frame in memory.
        if (engine := source.execution_engine) is not None:  # a user's source need not be in use
            engine.batch_manager.reset_batch_cache()
            engine.batch_manager.batch_data_cache.clear()
            engine._metric_cache.clear()
    return result
