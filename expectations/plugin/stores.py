"""The store of the suites; loading it makes the rules known to Great Expectations."""

from __future__ import annotations

from great_expectations.data_context import store


class ExpectationsStore(store.ExpectationsStore):
    """Great Expectations' own store, whose module imports the rules.

    It has the name of its base class: under another, Great Expectations adds a second store.
    """
