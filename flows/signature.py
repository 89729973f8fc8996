"""A flow's signature, made of the model that declares its parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter, Signature
from typing import Any, TypeVar, get_type_hints

from prefect import State

from flows.parameters.declaration import Parameters
from flows.runs import Report, finish_flow

P = TypeVar("P", bound=Parameters)


def takes(model: type[P]) -> Callable[[Callable[[P], Report]], Callable[..., State[Any]]]:
    """Return a decorator for a flow's body that takes one record of parameters.

    The flow's signature, of which Prefect makes the form, consists of the model's fields; its end
    state is that of the body's report (`finish_flow`). Values that the model refuses end it too.
    """
    hints = get_type_hints(model, include_extras=True)
    fields = {name: hints[name] for name in model.model_fields}
    signature = Signature(
        [
            Parameter(
                name,
                Parameter.POSITIONAL_OR_KEYWORD,
                annotation=hint,
                default=Parameter.empty if field.is_required() else field.default,
            )
            for (name, hint), field in zip(fields.items(), model.model_fields.values(), strict=True)
        ],
        return_annotation=State[Any],
    )

    def decorate(body: Callable[[P], Report]) -> Callable[..., State[Any]]:
        def flat(*args: Any, **kwargs: Any) -> State[Any]:
            values = signature.bind(*args, **kwargs).arguments
            return finish_flow(lambda: body(model.of(**values)))

        update_wrapper(flat, body)
        del flat.__wrapped__  # type: ignore[attr-defined]  # inspect would see the body's signature
        flat.__signature__ = signature  # type: ignore[attr-defined]
        flat.__annotations__ = {**fields, "return": State[Any]}
        flat.body = body  # type: ignore[attr-defined]
        return flat

    return decorate


def body_of(flow: Any) -> Callable[[Parameters], Report]:
    """Return the body of a flow that `takes` parameters, to run it without Prefect's engine."""
    return flow.fn.body
