"""The templates of our own pages, and their data; Great Expectations' site has its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.utils import urlize
from markupsafe import Markup

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def note(text: str) -> Markup:
    """Return a note as HTML, with its addresses as links and text between backticks as code."""
    linked = urlize(text, rel="noreferrer")  # which escapes the text
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", linked)
    # An option does not break after its dashes.
    return Markup(re.sub(r"(?<=\s)(--[a-z0-9-]+)", r'<span class="option">\1</span>', code))


_ENVIRONMENT.filters["note"] = note


def template(name: str) -> Template:
    """Return a template of this folder, which escapes every value and refuses unknown names."""
    return _ENVIRONMENT.get_template(name)


def columns_as_json(
    texts: Mapping[str, pd.Series[Any]], numbers: Mapping[str, pd.Series[float]]
) -> Markup:
    """Return columns as JSON that is safe inside a script element.

    A column of texts is a list of its words and, for each row, a position in it, -1 for none.
    """
    columns: dict[str, object] = {}
    for name, column in texts.items():
        codes, words = pd.factorize(column.astype(object), use_na_sentinel=True)
        columns[name] = {"at": codes.tolist(), "words": [str(word) for word in words]}
    for name, column in numbers.items():
        values = column.to_numpy(dtype=float, na_value=np.nan).tolist()
        columns[name] = [int(n) if n.is_integer() and abs(n) < 2**53 else n for n in values]
    text = orjson.dumps(columns).decode()
    # In a script element only its end, and comments that hide the end, are markup.
    for raw, escaped in (("<", "\\u003c"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(raw, escaped)
    return Markup(text)
