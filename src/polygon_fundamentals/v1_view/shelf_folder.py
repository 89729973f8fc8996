"""The folder in which a server keeps the shelves of its view from one start to the next."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path

from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.v1_view import shelf_file
from polygon_fundamentals.v1_view.lake_files import LakeFiles
from polygon_fundamentals.v1_view.shelf_file import Shelf

# Each day of `--as-of` has a folder of its own, which nobody may ever ask for again.
UNUSED_DAYS = 30

log = logging.getLogger("polygon_fundamentals.serve_v1")


class ShelfFolder:
    """The folder of a view's shelves: in the lake's cache, or temporary where that is read-only.

    Opening one removes those of other views that no server has used for 30 days. A server that
    runs for longer makes its folder again when it writes to it.
    """

    def __init__(self, lake: Lake, view: str) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.path = lake.ops / "cache" / "serve_v1" / view
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                os.utime(self.path)
        except OSError:
            self._temporary = tempfile.TemporaryDirectory(prefix="serve-v1-")
            self.path = Path(self._temporary.name)
        else:
            _remove_unused(self.path)

    def good_shelves(self, files: LakeFiles) -> dict[str, Shelf]:
        """Return ticker → its shelf in the folder, of those that still hold; remove the others.

        A shelf that holds was made of the files as they are, without an error, and none of its
        tickers is on another: of two the one of more tickers is right, since the same files show
        that they are one company; of the same tickers the full one.
        """
        good: dict[Path, Shelf] = {}
        for path in (p for s in shelf_file.SUFFIXES for p in self.path.glob(f"*{s}")):
            shelf = shelf_file.load(path)
            if (
                shelf is not None
                and shelf.error is None
                and shelf.digests.keys() <= files.tickers.keys()
                and shelf.digests == files.digests(shelf.digests)
            ):
                good[path] = shelf
            else:
                path.unlink(missing_ok=True)
        by_ticker: dict[str, Shelf] = {}
        for shelf in sorted(good.values(), key=lambda s: (len(s.digests), s.is_full)):
            by_ticker |= dict.fromkeys(shelf.digests, shelf)
        shelves: dict[str, Shelf] = {}
        for path, shelf in good.items():
            if all(by_ticker[ticker] is shelf for ticker in shelf.digests):
                shelves |= dict.fromkeys(shelf.digests, shelf)
            else:
                path.unlink(missing_ok=True)
        return shelves

    def close(self) -> None:
        """Remove a temporary folder."""
        if self._temporary is not None:
            self._temporary.cleanup()


def _remove_unused(mine: Path) -> None:
    """Remove the folders beside `mine` that no server has started with or written to of late."""
    limit = time.time() - UNUSED_DAYS * 86_400
    for folder in mine.parent.iterdir():
        try:
            if folder != mine and folder.stat().st_mtime < limit:
                shutil.rmtree(folder)
        except FileNotFoundError:
            pass  # another server removed it
        except OSError as error:
            log.warning("%s has been unused for long and cannot be removed: %s", folder, error)
