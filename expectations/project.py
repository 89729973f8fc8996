"""The Great Expectations project of a lake: written, run and put in place.

A run builds it in a folder beside and puts it in place file by file, the site's index last. So a
run that is killed at any moment leaves the last whole project and site.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from expectations.suites import identity
from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.storage.local import link_or_copy, replace_file

NAME = "parity"
PLUGIN = "polygon_parity"
# Of the layout below. A folder of a later one is left alone.
FORMAT = 1
RUNS_KEPT = 10
LISTED = 50
DOCS_ACTION = {"name": "data docs", "type": "update_data_docs", "site_names": ["data_docs"]}
# The stored project reads its rules from its plugins; in this process they are there already.
sys.modules[PLUGIN] = plugin

_README = f"""\
# The Great Expectations project of this lake's parity

    import great_expectations as gx
    context = gx.get_context(context_root_dir="…/ops/parity/gx")
    context.suites.all()                       # the rules
    context.checkpoints.get("{NAME}").run()     # asked of the last run's frames once more

Nothing else must be imported: the rules are in plugins/{PLUGIN}, which the store of the suites
brings along. ../frames holds the facts of the last run (by its absolute path: where the lake was
moved, run parity there), validations/ the results of the last {RUNS_KEPT}.

Each run of `python -m flows parity` writes suites, frames and plugins anew, from
expectations/tolerances.yaml and expectations/accepted.yaml: change those. Actions that you add to
checkpoints/{NAME}.json and settings that you add to great_expectations.yml stay.
"""


class ProjectError(UsageError):
    """The lake's Great Expectations project cannot be used as it is."""


def read_actions(project: Path) -> list[dict[str, Any]]:
    """Return the actions of the stored checkpoint besides ours; raises ProjectError."""
    path = project / "checkpoints" / f"{NAME}.json"
    try:
        actions = orjson.loads(path.read_bytes())["actions"]
        return [action for action in actions if action["type"] != DOCS_ACTION["type"]]
    except FileNotFoundError:
        return []
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise _nonsense(path, "is not a checkpoint of Great Expectations") from error


def read_settings(project: Path) -> dict[str, Any]:
    """Return what great_expectations.yml says; empty where there is none. Raises ProjectError."""
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
    return ProjectError(
        f"{path} {what}; correct it, or move {_root_of(path)} away: "
        "the next run of parity makes it anew"
    )


def _root_of(path: Path) -> Path:
    return next((p for p in path.parents if p.name == "gx"), path.parent)


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


def _definition(name: str) -> dict[str, Any]:
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


def _store(kind: str, folder: str, **more: str) -> dict[str, Any]:
    backend = {
        "class_name": "TupleFilesystemStoreBackend",
        "base_directory": folder,
        "suppress_store_backend_id": True,
    }
    return {"class_name": kind, **more, "store_backend": backend}


def _settings(names: Iterable[str], frames: Path) -> dict[str, Any]:
    """Our part of great_expectations.yml.

    The path of the frames is absolute: Great Expectations takes a relative one from wherever the
    process was started. One source a frame: validators of one source can evaluate another's batch
    (seen with 1.24.1).
    """
    pages = {"view": {"module_name": PLUGIN, "class_name": "ParityPages"}}
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
                    "view": {"module_name": PLUGIN, "class_name": "ParityIndexPages"},
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


def _source(name: str, frames: Path) -> dict[str, Any]:
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


def run_checkpoint(project: Path, run: str, started: datetime) -> CheckpointResult:
    """Run the stored checkpoint on the stored frames; the project keeps the results and the site.

    Raises ProjectError where Great Expectations cannot make sense of what the user added.
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
        raise ProjectError(what) from error
    finally:
        sys.path[:] = path  # Great Expectations appends the plugins, which are loaded already
    return checkpoint.run(run_id=RunIdentifier(run_name=run, run_time=started))


@contextmanager
def building(parity: Path, run: str) -> Iterator[Path]:
    """Yield a folder with a copy of `gx` and `data_docs` as they are; it is gone afterwards.

    Whoever builds holds the lock of the lake's checkpoint: what other builds left is removed.
    """
    for dead in parity.glob(".building-*"):
        shutil.rmtree(dead, ignore_errors=True)
    folder = parity / f".building-{run}"
    for name in ("gx", "data_docs"):
        (folder / name).mkdir(parents=True)
        _copy(parity / name, folder / name)
    _prune(folder / "gx" / "validations")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder; results and their pages, which nobody writes again, as links."""
    for path in _files(source):
        relative = path.relative_to(source)
        if relative.parts[0] in ("plugins", "static", "runs"):
            continue
        to = target / relative
        to.parent.mkdir(parents=True, exist_ok=True)
        if relative.parts[0] in ("validations", "reviews"):
            link_or_copy(path, to)
        else:
            shutil.copyfile(path, to)


def _prune(validations: Path) -> None:
    """Remove the results of all but the newest runs; one more is to come."""
    runs = sorted({p.name for p in validations.glob("*/*") if p.is_dir()}, reverse=True)
    for run in runs[RUNS_KEPT - 1 :]:
        for folder in validations.glob(f"*/{run}"):
            shutil.rmtree(folder, ignore_errors=True)


def publish(built: Path, parity: Path, frames: Path) -> None:
    """Put a built project and site in the place of the last ones, the index last.

    Then what is no longer part of them goes, and the frames of other runs.
    """
    last = built / "data_docs" / "index.html"
    every = [p for name in ("gx", "data_docs") for p in _files(built / name) if p != last]
    for path in [*every, last]:
        target = parity / path.relative_to(built)
        data = path.read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
    for name in ("gx", "data_docs"):
        wanted = {p.relative_to(built) for p in _files(built / name)}
        for path in _files(parity / name):
            if path.relative_to(parity) not in wanted and "__pycache__" not in path.parts:
                path.unlink(missing_ok=True)
        for folder in sorted((parity / name).rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    for other in frames.parent.iterdir():
        if other != frames:
            shutil.rmtree(other, ignore_errors=True)


def page_of(built: Path, run: str) -> Path:
    """Return where in the site the page of a run's values is."""
    site = built / "data_docs"
    [page] = site.glob(f"validations/values/{run}/*/*.html")
    return page.relative_to(site)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
