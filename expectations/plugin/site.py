"""The index of the data docs, written once per run, when all of its pages exist."""

from __future__ import annotations

from typing import Any

from great_expectations.data_context.types.resource_identifiers import ValidationResultIdentifier
from great_expectations.render.renderer.site_builder import DefaultSiteIndexBuilder

# The suites, and what each is about.
ABOUT = {
    "tickers": "Each ticker of v1, and what became of it in v2.",
    "periods": "Each period of either generation.",
    "labels": "In how many periods the fiscal labels or the ends of both generations differ.",
    "values": "Each value that is not equal, and tallies of those that are.",
    "fields": "How many of v1's values of each field v2 lacks.",
    "recency": "How old each statement's newest records are, on the day of the run.",
    "v1_records": "Each record of v1.",
    "v2_records": "Each record of v2, and how far its accounting identities are off.",
    "v2_files": "Each file of v2.",
    "counts": "How many periods each company and timeframe has in v2.",
}


class ParityIndex(DefaultSiteIndexBuilder):
    """Great Expectations' own index.

    Its action for data docs builds the site after each validation of a checkpoint. An index in
    between would read every stored result again, and link to pages that do not exist yet.
    """

    def build(self, skip_and_clean_missing: bool = True, build_index: bool = True) -> Any:
        """Write the index if each stored result has its page, else leave the last one."""
        store = self.data_context.stores[self.source_stores["validations"]]
        pages = self.target_store.store_backends[ValidationResultIdentifier].list_keys()
        whole = {key.to_tuple() for key in store.list_keys()} <= set(pages)
        return super().build(skip_and_clean_missing, build_index=build_index and whole)
