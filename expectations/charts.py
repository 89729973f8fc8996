"""The pictures of the review page, drawn as SVG by pygal: no script, a title on every value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Darker and lighter in turn, so that neighbours differ in black and white too; all of them can be
# seen on a white page and on a dark one.
COLOURS = (
    "#2b6cb0", "#f6ad55", "#805ad5", "#90cdf4", "#c53030", "#9ae6b4", "#2f855a", "#fbb6ce",
    "#718096", "#d6bcfa", "#975a16", "#81e6d9",
)  # fmt: skip
_SVG = "{http://www.w3.org/2000/svg}"


def stacked(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    unit: str,
    colours: Sequence[str],
) -> str:
    """Return horizontal bars, one per label, stacked from the parts in `series`."""
    pygal, options = _tools(title, colours)
    chart = pygal.HorizontalStackedBar(
        height=180 + 24 * len(labels), legend_at_bottom_columns=2, **options
    )
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, list(reversed(values)), formatter=lambda v: f"{v:,.4g} {unit}")
    return _svg(chart)


def lines(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    colours: Sequence[str],
) -> str:
    """Return one line per series over the labels."""
    pygal, options = _tools(title, colours)
    chart = pygal.Line(height=380, x_label_rotation=25, dots_size=4, include_x_axis=True, **options)
    chart.x_labels = list(labels)
    for name, values in series.items():
        chart.add(name, list(values), formatter=lambda v: f"{v:,.0f}")
    return _svg(chart)


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[int]]) -> str:
    """Return the bars of each label side by side."""
    pygal, options = _tools(title)
    chart = pygal.Bar(height=340, **options)
    chart.x_labels = list(labels)
    for name, values in series.items():
        chart.add(name, list(values), formatter=lambda v: f"{v:,.0f}")
    return _svg(chart)


def _tools(title: str, colours: Sequence[str] = COLOURS) -> tuple[Any, dict[str, object]]:
    # Only a run that draws pays for the import.
    import pygal
    from pygal.style import Style

    style = Style(
        background="transparent", plot_background="transparent", colors=tuple(colours),
        font_family="sans-serif",
        label_font_size=13, legend_font_size=13, title_font_size=16, major_label_font_size=13,
        value_font_size=12, foreground="var(--text)", foreground_strong="var(--text)",
        foreground_subtle="var(--soft)", opacity="1", opacity_hover="1", transition="0s",
    )  # fmt: skip
    return pygal, {
        "title": title, "style": style, "js": [], "width": 1000, "legend_at_bottom": True,
        "explicit_size": False, "disable_xml_declaration": True, "truncate_label": 48,
        "truncate_legend": 40, "no_data_text": "nothing to show", "print_values": False,
    }  # fmt: skip


def _svg(chart: Any) -> str:
    chart.add_xml_filter(_still)
    return chart.render(is_unicode=True)


def _still(root: Any) -> Any:
    """The picture without scripts, labelled for screen readers, with its values as tooltips."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("script", f"{_SVG}script"):
                parent.remove(child)
        described = [c for c in parent if str(c.tag).endswith("desc")]
        descriptions = {c.get("class", ""): c.text or "" for c in described}
        if "value" in descriptions:
            title = parent.makeelement("title", {})
            title.text = ": ".join(
                filter(None, (descriptions.get("x_label"), descriptions["value"]))
            )
            parent.insert(0, title)
    root.set("role", "img")
    return root
