"""The store of the suites, by which Great Expectations comes to know the rules in them."""

from __future__ import annotations

from great_expectations.data_context import store


class ExpectationsStore(store.ExpectationsStore):
    """Great Expectations' own store. To load it, the project imports the rules: nobody else must.

    It bears the name of its base: under another, Great Expectations adds a second one.
    """
