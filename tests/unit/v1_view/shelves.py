"""Shelves of a whole lake, for tests."""

from __future__ import annotations

from pathlib import Path

from polygon_fundamentals.lake import Lake
from polygon_fundamentals.v1_view import shelf_file
from polygon_fundamentals.v1_view.lake_files import LakeFiles
from polygon_fundamentals.v1_view.shelf_file import Shelf
from polygon_fundamentals.v1_view.shelving import ciks_of_tickers, companies_of, make_shelves
from polygon_fundamentals.v1_view.view import View


def companies(view: View) -> list[tuple[str, ...]]:
    """Return the tickers of the lake in groups that share companies."""
    files = LakeFiles(Lake(Path(view.root)))
    files.look()
    return companies_of(ciks_of_tickers(view.root, files.tickers))


def shelves(view: View, folder: Path, *, bare: bool) -> list[Shelf]:
    """Make the shelves of the lake in a new folder; return them."""
    folder.mkdir()
    made = make_shelves(view, str(folder), companies(view), bare=bare)
    return loaded(made)


def loaded(paths: list[str]) -> list[Shelf]:
    """Return the shelves in some files, each of which must hold one."""
    shelves = [shelf_file.load(Path(path)) for path in paths]
    assert None not in shelves
    return [shelf for shelf in shelves if shelf is not None]
