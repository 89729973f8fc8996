"""The view of the data docs: Great Expectations' documents as pages that need nothing else.

Its stock templates load styles and scripts from other hosts and draw tables by script. These
pages are made of the same documents, by a template that escapes every value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from .site import ABOUT
from .values import NOTHING_COMPARED

LONGEST = 2_000  # characters of a cell; a reader who wants more opens the file
_PARAMETER = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
# Columns of the index that repeat the suite's name.
_REPEATED = {"asset_name", "batch_identifier"}
# Great Expectations' header of a validation names an asset, which it lacks in a file context.
_NO_ASSET = "${data_asset} ${data_asset_name}\n"
# Parameters that stand for an icon: of a rule, and of a validation in the index.
_ICONS = {"icon", "validation_success"}
# Its title of a validation's page; the run's name stands in the page itself.
_TITLE = re.compile(r"Validations / (\w+) / .* / ([^/]+)")
# The title of a rule, which begins its description.
_HEADING = re.compile(r"^((?:(?![.:] ).)* · (?:(?![.:] ).)*)(?=[.:] )")
_SUITE_TITLE = re.compile(r"Expectations / (\w+)")
# From a page of each kind to the site's index.
_HOME = {"ExpectationSuitePageRenderer": "../", "ValidationResultsPageRenderer": "../../../../"}


def rich(block: Any) -> Markup:
    """Return a string template with its parameters filled in: text, and links within the site."""
    if not isinstance(block, Mapping):
        return plain(block)
    template = str(block.get("template", ""))
    params = block.get("params") or {}
    if not params.get("data_asset_name"):
        template = template.replace(_NO_ASSET, "")
    if "html_success_icon" in params:  # the words of the index and of the rules
        template = template.replace("Succeeded", "holds").replace("Failed", "broken")
        words = {"Succeeded": "holds", "Failed": "broken"}
        params = {**params, "success": words.get(str(params.get("success")), params.get("success"))}
    styling = (block.get("styling") or {}).get("params") or {}
    parts: list[Any] = []
    end = 0
    for match in _PARAMETER.finditer(template):
        name = match[1] or match[2]
        parts.append(plain(template[end : match.start()]))
        parts.append(_filled(name, params, styling) if name in params else plain(match[0]))
        end = match.end()
    parts.append(plain(template[end:]))
    text = Markup("").join(parts)
    # The text is escaped; only the tags around it are new.
    text = Markup(_HEADING.sub(r"<b>\1</b>", str(text), count=1))
    whole = (block.get("styling") or {}).get("attributes") or {}
    href = str(whole.get("href", ""))
    if block.get("tag") == "a" and is_inside(href):
        return Markup('<a href="{}">{}</a>').format(href, text)
    return text


def _filled(name: str, params: Mapping[str, Any], styling: Mapping[str, Any]) -> Markup:
    if name == "html_success_icon":  # markup of the renderer: a check mark or a cross
        return Markup("✓") if "success" in str(params[name]) else Markup("✗")
    text = plain("" if params[name] is None else params[name])
    style = styling.get(name) or {}
    href = str((style.get("attributes") or {}).get("href", ""))
    if style.get("tag") == "a" and is_inside(href):
        return Markup('<a href="{}">{}</a>').format(href, text)
    return text


def is_inside(href: str) -> bool:
    """Return whether a link stays within the site."""
    parts = urlsplit(href)
    return bool(href) and not parts.scheme and not parts.netloc


def readable(text: str) -> str:
    """Return a text with its timestamps written as in the index: with a space and their zone."""
    return _MOMENT.sub(r"\1 \2 UTC", text)


def plain(value: Any) -> Markup:
    """Return a value as escaped text, cut if it is too long, with breaks after underscores."""
    text = readable(str(value))
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text):,} characters)"
    lines = [escape(line).replace("_", Markup("_<wbr>")) for line in text.split("\n")]
    return Markup("<br>").join(lines)


def status(block: Any) -> str:
    """Return `yes` or `no` for the icon that Great Expectations puts in a row, else ""."""
    template = block.get("string_template") if isinstance(block, Mapping) else None
    if not isinstance(template, Mapping) or not _ICONS & set(template.get("params") or {}):
        return ""
    words = str(template.get("styling", ""))
    if "text-success" in words:
        return "yes"
    return "no" if "text-danger" in words or "text-warning" in words else ""


def compared_nothing(row: Sequence[Any]) -> bool:
    """Return whether a rule's row says that there was nothing to compare."""
    return bool(row) and isinstance(row[-1], str) and row[-1].startswith(NOTHING_COMPARED)


def page_title(title: str) -> str:
    """Return the title of a page; that of a validation names its suite and its time."""
    whole = _TITLE.sub(r"\1: result of the run of \2", readable(title))
    return _SUITE_TITLE.sub(r"\1: the rules", whole)


def about(row: Mapping[str, Any]) -> str:
    """Return what the suite of a row of the index is about."""
    return ABOUT.get(str(row.get("_expectation_suite_name_sort", "")), "")


def columns_of(columns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the columns of the index that are shown, without those that repeat another."""
    return [c for c in columns if "visible" not in c and c.get("field") not in _REPEATED]


def is_rule_off(block: Any) -> bool:
    """Return whether a block is the line that Great Expectations draws below a rule."""
    template = block.get("string_template") if isinstance(block, Mapping) else None
    return isinstance(template, Mapping) and template.get("tag") == "hr"


def broken_first(rows: Sequence[Any]) -> list[Any]:
    """Return the rows of a table, those of broken rules first.

    A row without a status of its own goes with the one above it.
    """
    rules: list[list[Any]] = []
    for row in rows:
        if rules and not (row and status(row[0])):
            rules[-1].append(row)
        else:
            rules.append([row])
    rules.sort(key=lambda rule: not (rule[0] and status(rule[0][0]) == "no"))
    return [row for rule in rules for row in rule]


def newest_first(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of the index by run, the newest first, and each run's broken suites first."""
    by_suite = sorted(
        rows,
        key=lambda row: (
            not any(status(cell) == "no" for cell in row.values()),
            str(row.get("_expectation_suite_name_sort", row)),
        ),
    )
    return sorted(by_suite, key=lambda row: row.get("_run_time_sort") or 0, reverse=True)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    rich=rich, plain=plain, status=status, broken_first=broken_first, newest_first=newest_first,
    columns_of=columns_of, about=about,
)  # fmt: skip
_ENVIRONMENT.tests.update(inside=is_inside, rule_off=is_rule_off, compared_nothing=compared_nothing)


class ParityPages:
    """The view of a suite or of a validation."""

    template = "page.html"

    def __init__(
        self,
        custom_styles_directory: Any = None,
        custom_views_directory: Any = None,
        lake: str = "",
    ) -> None:
        """Great Expectations hands in folders of styles and templates; these pages use none.

        `lake` is the path of the lake, which the index names.
        """
        self.lake = lake

    def render(self, document: Any, template: str | None = None, **_: Any) -> str:
        """Return the page of a document, or of the first of several."""
        shown = document[0] if isinstance(document, list) else document
        content = shown if isinstance(shown, dict) else shown.to_json_dict()
        kind = content.get("renderer_type", "")
        return _ENVIRONMENT.get_template(template or self.template).render(
            title=page_title(content.get("page_title") or "Parity of v1 and v2"),
            sections=content.get("sections") or [],
            home=_HOME.get(kind, ""),
            is_index=kind not in _HOME,
            lake=self.lake,
        )


class ParityIndexPages(ParityPages):
    """The view of the site's index."""
