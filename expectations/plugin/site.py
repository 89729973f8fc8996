"""The index of the data docs, written once per run, when all of its pages exist."""

from __future__ import annotations

from typing import Any

from great_expectations.data_context.types.resource_identifiers import ValidationResultIdentifier
from great_expectations.render.renderer.site_builder import DefaultSiteIndexBuilder


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
