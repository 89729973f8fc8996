"""The TOML and YAML files that a team edits, read into models that refuse what they do not know."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from polygon_fundamentals.errors import UsageError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path | None, model: type[Model]) -> Model:
    """Return what a TOML file says, or the model's defaults where there is no such file.

    Raises:
        UsageError: it cannot be read, is not TOML, or says what the model does not allow.
    """
    if path is None or not path.exists():
        return model()
    return _read(path, model, "TOML", tomllib.loads)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Return what a YAML file says, which must be there. Raises as `read_toml` does."""
    import yaml  # most commands read no such file

    def parse(text: str) -> Any:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from error

    return _read(path, model, "YAML", parse)


def _read(path: Path, model: type[Model], form: str, parse: Callable[[str], Any]) -> Model:
    try:
        # Editors of Windows begin a file with a mark.
        content = parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); put the file back, then run again"
        raise UsageError(f"{path}: {reason}") from error
    except ValueError as error:
        reason = f"is not {form} ({error}); correct the file, then run again"
        raise UsageError(f"{path}: {reason}") from error
    return as_model({} if content is None else content, model, f"{path}", "correct the file")


def as_model(content: Any, model: type[Model], name: str, remedy: str = "correct them") -> Model:
    """Return what was read, under some name, as a model. Raises UsageError with all its faults."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(map(_in_words, error.errors()))
        raise UsageError(f"{name}: {faults}; {remedy}, then run again") from error


def _in_words(fault: ErrorDetails) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    what = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        what = "is not a key of this file"
        if fault["input"] is None:  # YAML ends a text without quotes in braces at a comma
            what += "; put quotes around a text in braces that has a comma in it"
    return f"{where}: {what}" if where else what
