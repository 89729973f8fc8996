"""Options of a command made of its parameters, and parameters made of what was typed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from flows.parameters.declaration import Flag, Parameters, flag_of
from flows.parameters.shared import WHERE
from polygon_fundamentals.load.query import as_day

P = TypeVar("P", bound=Parameters)


SHARED: dict[str, dict[str, Any]] = {
    "--json": {"action": "store_true", "help": "print one JSON object and nothing else"},
    "--verbose": {"action": "store_true", "help": "show Prefect's own log lines"},
}


def add_options(
    parser: argparse.ArgumentParser, model: type[Parameters], shared: Sequence[str]
) -> None:
    """Add an option for every field of a model that has a flag, and the shared ones."""
    groups: dict[str, Any] = {}
    flags = [(name, field, flag_of(field)) for name, field in model.model_fields.items()]
    for name, field, flag in sorted(
        flags, key=lambda item: bool(item[2] and item[2].group == WHERE)
    ):
        if flag is None:
            continue
        where: Any = parser
        if flag.group is not None:
            if flag.group not in groups:
                groups[flag.group] = parser.add_argument_group(flag.group)
            where = groups[flag.group]
        if flag.values:
            where = where.add_mutually_exclusive_group()
            for option, (value, text) in flag.values.items():
                _add(where, option, dest=name, action="store_const", const=value, help=text)
        elif flag.name is not None and not flag.name.startswith("-"):
            # `nargs` sets the field even where nothing is given: an empty list, or no default.
            many = _kind(field.annotation)[1]
            nargs: dict[str, Any] = {"nargs": "*", "default": []} if many else {}
            parser.add_argument(name, metavar=flag.name, help=flag.help, **nargs)
        else:
            _add(where, model.flag_name(name), dest=name, **_keywords(field, flag))
    for option in shared:
        if option != "--base-url":
            groups.get(WHERE, parser).add_argument(option, **SHARED[option])
        elif "base_url" not in model.model_fields:
            # Taken from scripts that give it to every command; this one asks nothing of the API.
            parser.add_argument(option, help=argparse.SUPPRESS)


def parameters_of(model: type[P], arguments: argparse.Namespace) -> P:
    """Return the parameters that were typed; what was not is left to the model's defaults.

    Raises:
        UsageError: everything that is wrong with them, in one line.
    """
    given = {k: v for k, v in vars(arguments).items() if k in model.model_fields}
    for name, value in given.items():
        if _kind(model.model_fields[name].annotation)[0] is date:
            given[name] = as_day(value, model.flag_name(name))
    return model.of(**given)


def _add(where: Any, option: str, **keywords: Any) -> None:
    where.add_argument(option, default=argparse.SUPPRESS, **keywords)


def _keywords(field: FieldInfo, flag: Flag) -> dict[str, Any]:
    """Return what `add_argument` is told of a field."""
    kind, many = _kind(field.annotation)
    text = flag.help or field.description or ""
    text = text[:1].lower() + text[1:]
    unset = flag.unset
    if kind is bool:
        return {"action": "store_false" if field.default else "store_true", "help": text}
    made = field.is_required() or field.default_factory is not None
    if unset is None and not made and field.default not in (None, ""):
        default = field.default
        unset = f"{default:g}" if isinstance(default, float) else str(default)
    if many:
        text = f"{text}; repeatable" if text else "repeatable"
    keywords: dict[str, Any] = {
        "help": f"{text} (default: {unset})".strip() if unset else text,
        "metavar": flag.metavar,
        "required": field.is_required(),
    }
    if many:
        keywords["action"] = "append"
    if get_origin(kind) is Literal:
        keywords["choices"] = get_args(kind)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        keywords["choices"] = [member.value for member in kind]
    elif kind in (int, float):
        keywords["type"] = kind
    return keywords


def _kind(annotation: Any) -> tuple[Any, bool]:
    """Return what an option's value is, and whether there may be several."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True
    return annotation, False
