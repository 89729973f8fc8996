"""What the server runs in another process, which has pandas and Arrow."""

from __future__ import annotations

from importlib import import_module
from typing import Any

Company = tuple[str, ...]  # its tickers


def import_what_reads() -> None:
    """Have a process ready that reads the lake."""
    import_module(f"{__package__}.shelving")


def run(function: str, *arguments: Any) -> Any:
    """Return what `MODULE.FUNCTION` of this package returns; the module is imported here alone."""
    module, _, name = function.partition(".")
    return getattr(import_module(f"{__package__}.{module}"), name)(*arguments)
