"""The company pages: all statements of a ticker side by side, equal values too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from expectations.templates import columns_as_json, template

# A page takes some 0.3 MB, and its equal values are read once more.
COMPANIES_SHOWN = 25
LONGEST_NAME = 200


def page_of(ticker: str, run: str) -> str:
    """Return the address of a company's page of a run, from the review page's folder."""
    return f"companies/{quote(run)}/{quote(_file_of(ticker))}"


def has_page(ticker: str) -> bool:
    """Return whether a ticker's page can be stored under its name."""
    return len(_file_of(ticker)) <= LONGEST_NAME


def _file_of(ticker: str) -> str:
    return f"{quote(ticker, safe='')}.html"


def write_pages(
    folder: Path, tickers: Sequence[str], values: pd.DataFrame, names: Mapping[str, str]
) -> None:
    """Write a page for each of some tickers to a run's folder; `values` has every pair of theirs.

    Each run has pages of its own, so that its review page never leads to another run's values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    company = template("company.html")
    # A company with two tickers is compared once, and stands on the page of each.
    names_of = values["tickers"].str.split(",")
    for ticker in tickers:
        rows = values.loc[[ticker in own for own in names_of]]
        name, run = names.get(ticker) or "", folder.name
        page = company.render(ticker=ticker, name=name, run=run, data=_as_json(rows))
        (folder / _file_of(ticker)).write_text(page, encoding="utf-8")


def _as_json(rows: pd.DataFrame) -> Markup:
    texts = {
        name: rows[name].astype(object).fillna("")
        for name in ("statement", "timeframe", "v2_field", "kind", "detail")
    }
    texts["day"] = rows["period_end"].dt.strftime("%Y-%m-%d").fillna("")
    return columns_as_json(texts, {n: rows[n] for n in ("v1_value", "v2_value", "difference")})
