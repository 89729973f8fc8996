"""The part of parity's rules and pages that its Great Expectations project takes along.

It is copied to the project's plugins as `polygon_parity`, so that a process without this
repository reads and runs the stored suites. Nothing here imports anything of the repository.
"""

from __future__ import annotations

from . import rules, values
from .pages import ParityIndexPages, ParityPages
from .site import ParityIndex
from .stores import ExpectationsStore

__all__ = ["ExpectationsStore", "ParityIndex", "ParityIndexPages", "ParityPages", "rules", "values"]
