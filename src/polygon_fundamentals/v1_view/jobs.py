"""What the server has done in another process, where pandas and Arrow are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polygon_fundamentals.v1_view import lake_files
from polygon_fundamentals.v1_view.lake_files import Place, Stamp
from polygon_fundamentals.v1_view.shelf_file import Text
from polygon_fundamentals.v1_view.view import View

Company = tuple[str, ...]  # its tickers


def import_what_reads() -> None:
    """Have a process ready that reads the lake."""
    import polygon_fundamentals.v1_view.shelving  # noqa: F401


def archived_tickers(root: str) -> frozenset[str]:
    """Return what `lake_files.archived_tickers` returns."""
    return lake_files.archived_tickers(root)


def ciks_of_tickers(
    root: str, files: Mapping[str, Mapping[Place, Stamp]]
) -> dict[str, tuple[str, ...]]:
    """Return what `shelving.ciks_of_tickers` returns."""
    from polygon_fundamentals.v1_view import shelving

    return shelving.ciks_of_tickers(root, files)


def companies_of(ciks: Mapping[str, Sequence[str]]) -> list[Company]:
    """Return what `shelving.companies_of` returns."""
    from polygon_fundamentals.v1_view import shelving

    return shelving.companies_of(ciks)


def make_shelves(view: View, folder: str, companies: Sequence[Company], bare: bool) -> list[str]:
    """Make shelves and return what `shelving.make_shelves` returns."""
    from polygon_fundamentals.v1_view import shelving

    return shelving.make_shelves(view, folder, companies, bare=bare)


def fill_shelves(view: View, folder: str, companies: Sequence[Company]) -> list[str]:
    """Fill shelves and return what `shelving.fill_shelves` returns."""
    from polygon_fundamentals.v1_view import shelving

    return shelving.fill_shelves(view, folder, companies)


def texts_of(root: str, wanted: Sequence[tuple[tuple[str, ...], bytes]]) -> list[Text | None]:
    """Return what `texts.texts_of` returns."""
    from polygon_fundamentals.v1_view import texts

    return texts.texts_of(root, wanted)
