"""What a declaration of parameters consists of: its flags, and its errors for wrong values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from polygon_fundamentals.errors import UsageError


@dataclass(frozen=True)
class Flag:
    """How a parameter is given on the command line; one without a flag is only in the form.

    `name` is made from the field's name if it is None; one without dashes is positional. `help`
    replaces the field's description, and `unset` describes the default where its value does not.
    `values` are flags that each set a value, such as `--use-v1`, with that value and a help.
    """

    name: str | None = None
    metavar: str | None = None
    help: str | None = None
    unset: str | None = None
    group: str | None = None
    values: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def flag_of(field: FieldInfo) -> Flag | None:
    """Return the flag of a model's field; the last where an annotation was narrowed."""
    flags = [mark for mark in field.metadata if isinstance(mark, Flag)]
    return flags[-1] if flags else None


class Parameters(BaseModel):
    """Parameters of a flow or a command: frozen, and names that are not known are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return the parameters of these values.

        Raises:
            UsageError: everything that is wrong with them, in one line.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UsageError("; ".join(cls._problem(e) for e in error.errors())) from error

    @classmethod
    def flag_name(cls, name: str) -> str:
        """Return what a field is called on the command line, or its own name."""
        field = cls.model_fields.get(name)
        flag = flag_of(field) if field else None
        return (flag.name or "--" + name.replace("_", "-")) if flag else name

    @classmethod
    def _problem(cls, error: Any) -> str:
        name = str(error["loc"][0]) if error["loc"] else ""
        if error["type"] == "string_too_short":
            return f"{cls.flag_name(name)} is blank: give it a value, or leave it out"
        if error["type"] == "too_short":
            return f"{cls.flag_name(name)} is empty: name one or more, or leave it out"
        field = cls.model_fields.get(name)
        marks = field.metadata if field else ()
        low, high = (
            next((value for mark in marks if (value := getattr(mark, bound, None)) is not None), "")
            for bound in ("ge", "le")
        )
        if error["type"] in ("greater_than_equal", "less_than_equal"):
            wrong = f" is not {low} to {high}" if high != "" else f" is not {low} or more"
        else:
            wrong = f": {error['msg'][:1].lower()}{error['msg'][1:]}"
        return f"{cls.flag_name(name)} {error['input']}{wrong}"

    def values(self, model: type[Parameters] | None = None) -> dict[str, object]:
        """Return the values by name, as a flow takes them; of a `model`'s fields alone if given."""
        return {name: getattr(self, name) for name in (model or type(self)).model_fields}
