"""The pages of the data docs, made of documents as Great Expectations gives them."""

from __future__ import annotations

from great_expectations.render import RenderedHeaderContent, RenderedStringTemplateContent

from expectations.plugin.pages import ParityIndexPages, ParityPages, newest_first, rich
from expectations.plugin.values import NOTHING_COMPARED


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


def text(template: str, **params: str) -> dict[str, object]:
    return {
        "content_block_type": "string_template",
        "string_template": {"template": template, "params": params},
    }


def test_the_index_has_no_column_that_repeats_the_suite() -> None:
    names = {"_expectation_suite_name": "Suite", "asset_name": "Asset", "batch_identifier": "Batch"}
    table = {
        "content_block_type": "bootstrap_table",
        "table_columns": [{"field": field, "title": title} for field, title in names.items()],
        "table_data": [dict.fromkeys(names, "counts")],
    }
    page = ParityIndexPages().render(
        {"renderer_type": "SiteIndexPageRenderer", "sections": [{"content_blocks": [table]}]}
    )
    assert page.count("counts") == 1
    assert "Asset" not in page
    assert "Batch" not in page


def test_what_is_broken_in_the_newest_run_comes_first() -> None:
    def row(suite: str, when: int, word: str) -> dict[str, object]:
        icon = text("$validation_success", validation_success="")
        icon["string_template"] |= {"styling": {"classes": [word]}}  # type: ignore[operator]
        return {"_expectation_suite_name_sort": suite, "_run_time_sort": when, "status": icon}

    good, bad = "text-success", "text-danger"
    rows = [row("a", 1, bad), row("a", 2, good), row("b", 2, bad), row("c", 2, good)]
    assert newest_first(rows) == [rows[2], rows[1], rows[3], rows[0]]


def test_a_result_is_told_in_one_word_and_a_rule_without_a_case_does_not_hold() -> None:
    icon = text("$icon", icon="")
    icon["string_template"] |= {"styling": {"params": {"icon": {"classes": ["text-success"]}}}}  # type: ignore[operator]
    rows = [[icon, "one rule", "3 of 3 values"], [icon, "other rule", f"{NOTHING_COMPARED}; 2 x"]]
    status = text("Status: $html_success_icon Succeeded", html_success_icon="text-success")
    page = ParityPages().render(
        {
            "renderer_type": "ValidationResultsPageRenderer",
            "page_title": "Validations / values / 20261128T211135Z-2131e7 / "
            "2026-11-28T21:11:35.000000Z",
            "sections": [
                {"content_blocks": [status, {"content_block_type": "table", "table": rows}]}
            ],
        }
    )
    assert "<h1>values: result of the run of 2026-11-28 21:11:35 UTC</h1>" in page
    assert "Status: ✓ holds" in page
    assert (page.count("✓ holds"), page.count("nothing to judge")) == (2, 1)


def test_the_index_names_the_lake_and_says_what_each_suite_checks() -> None:
    table = {
        "content_block_type": "bootstrap_table",
        "table_columns": [
            {"field": "_expectation_suite_name", "title": "Expectation Suites"},
            {"field": "run_time", "title": "Run Time"},
        ],
        "table_data": [
            {"_expectation_suite_name": "values", "_expectation_suite_name_sort": "values"}
        ],
    }
    page = ParityIndexPages(lake="/data/a<b>").render(
        {"renderer_type": "SiteIndexPageRenderer", "sections": [{"content_blocks": [table]}]}
    )
    assert "The lake is /data/a&lt;b&gt;." in page
    assert '<th scope="col">Suite</th>' in page
    assert "Each value that is not equal, and tallies of those that are." in page


def test_a_rule_begins_with_its_heading_and_a_validation_has_one_pair_of_words() -> None:
    rule = text("total_assets · balance_sheets: values are equal. It must <be> so. Yes · no.")
    status = text("$html_success_icon $success", html_success_icon="danger", success="Failed")
    page = ParityPages().render(
        {
            "renderer_type": "ExpectationSuitePageRenderer",
            "page_title": "Expectations / values",
            "sections": [{"content_blocks": [rule, status]}],
        }
    )
    assert (
        "<b>total_<wbr>assets · balance_<wbr>sheets</b>: values are equal. It must &lt;be&gt; so."
    ) in page
    assert page.count("<b>") == 1
    in_a_name = rich({"template": "It is in a.yaml · all. Yes."})
    assert in_a_name == "<b>It is in a.yaml · all</b>. Yes."
    assert rich({"template": "It must. Yes · no."}) == "It must. Yes · no."
    assert "✗ broken" in page
    assert "<h1>values: the rules</h1>" in page
