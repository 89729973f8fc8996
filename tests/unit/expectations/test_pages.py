"""The pages of the data docs, made of documents as Great Expectations gives them."""

from __future__ import annotations

from great_expectations.render import RenderedHeaderContent, RenderedStringTemplateContent

from expectations.plugin.pages import ParityIndexPages


def test_the_index_has_one_heading_ours() -> None:
    header = RenderedHeaderContent(
        header=RenderedStringTemplateContent(
            content_block_type="string_template",
            string_template={
                "template": "$title_prefix | $site_name",
                "params": {"site_name": "data_docs", "title_prefix": "Data Docs"},
            },
        )
    )
    suites = {"content_block_type": "tabs", "tabs": [{"tab_name": "Suites", "tab_content": None}]}
    section = {"content_blocks": [header.to_json_dict(), suites]}
    page = ParityIndexPages().render(
        {"renderer_type": "SiteIndexPageRenderer", "sections": [section]}
    )
    assert "Data Docs" not in page
    assert "<h1>Parity of v1 and v2</h1>" in page
    assert "<h2>Suites</h2>" in page
