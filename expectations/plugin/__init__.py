"""The part of parity's rules and pages that is copied into its Great Expectations project.

There it is the plugin `polygon_parity`, so that a process without this repository can read and run
the stored suites. Nothing here imports from the rest of the repository.
"""

from __future__ import annotations

from . import rules, values
from .pages import ParityIndexPages, ParityPages
from .site import ParityIndex
from .stores import ExpectationsStore

__all__ = ["ExpectationsStore", "ParityIndex", "ParityIndexPages", "ParityPages", "rules", "values"]
