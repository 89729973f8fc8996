"""The company pages: all statements of a ticker side by side, equal values too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import orjson
import pandas as pd
from markupsafe import Markup

from expectations.templates import template

# A page is some 0.3 MB, and its values are compared once more: those that need a look.
COMPANIES_SHOWN = 25
LONGEST_NAME = 200


def page_of(ticker: str) -> str:
    """Return the address of a company's page, from the review page's folder."""
    return f"companies/{quote(_file_of(ticker))}"


def has_page(ticker: str) -> bool:
    """Say whether a ticker's page can be stored under its name."""
    return len(_file_of(ticker)) <= LONGEST_NAME


def _file_of(ticker: str) -> str:
    return f"{quote(ticker, safe='')}.html"


def write_pages(
    site: Path, tickers: Sequence[str], values: pd.DataFrame, names: Mapping[str, str]
) -> None:
    """Write a page for each of some tickers to `site`; `values` has every pair of theirs."""
    company = template("company.html")
    for ticker in tickers:
        rows = values[values["ticker"] == ticker]
        page = company.render(
            ticker=ticker, name=names.get(ticker) or "", data=Markup(_as_json(rows))
        )
        (site / "companies" / _file_of(ticker)).write_text(page, encoding="utf-8")


def _as_json(rows: pd.DataFrame) -> str:
    """The values of a company by column; safe inside a script element."""
    texts = {n: rows[n] for n in ("statement", "timeframe", "v2_field", "kind", "detail")}
    texts["day"] = rows["period_end"].dt.strftime("%Y-%m-%d")
    columns: dict[str, object] = {}
    for name, column in texts.items():
        codes, words = pd.factorize(column.astype(object).fillna(""))
        columns[name] = {"at": codes.tolist(), "words": [str(word) for word in words]}
    for name in ("v1_value", "v2_value", "difference"):
        numbers = rows[name].to_numpy(dtype=float, na_value=np.nan)
        columns[name] = [
            int(n) if n.is_integer() and abs(n) < 2**53 else n for n in numbers.tolist()
        ]
    text = orjson.dumps(columns).decode()
    # Nothing in a script element is markup but its end, and comments that hide the end.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
