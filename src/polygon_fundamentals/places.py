"""The places that settings name, an API's address and a lake's folder: what is wrong with one.

A folder is judged by the names in it alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from polygon_fundamentals.errors import UsageError

BRONZE = "bronze"
# What only a lake has in `bronze`: what readers open, the generations' folders, the daily ratios.
POINTER = "fundamentals"
V1_ARCHIVE = "fundamentals_v1_archive"
V2_FOLDER = "fundamentals_v2"
RATIOS_FOLDER = "ratios_v2"


def problem_of_url(url: str) -> str | None:
    """Return why a base URL cannot be used, or None; the text names only its scheme and host."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        # As the connection will: it raises for a label that is empty or too long.
        host.encode("idna")
    except ValueError:
        return "the host or port of the base URL cannot be read; write http(s)://host or host:port"
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", url):
        shown = f"{parts.scheme}://{host}" if host else "as given"
        return f"base URL {shown} is not http(s)://host, as https://api.massive.com is"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "the base URL must not hold a user, a password, a query or a fragment"
    return None


def is_lake(folder: Path) -> bool:
    """Return whether a folder has datasets of a lake, also where they are links that lead nowhere.

    One in which a load only began is not a lake by this.
    """
    names = (POINTER, V1_ARCHIVE, V2_FOLDER, RATIOS_FOLDER)
    return any(os.path.lexists(folder / BRONZE / name) for name in names)


def surrounding_lake(folder: Path) -> Path | None:
    """Return the nearest lake that a folder lies within; None where there is none, or it is one.

    A copy that `drill` makes in a lake's `ops` is a lake of its own.
    """
    if is_lake(folder):
        return None
    above = (*folder.parents, *folder.resolve().parents)
    return next((parent for parent in above if is_lake(parent)), None)


def refuse_nested(root: Path) -> None:
    """Refuse a lake's folder that lies within another lake, such as that lake's `bronze`.

    Raises:
        UsageError: the text names the lake to give instead.
    """
    if lake := surrounding_lake(root):
        raise UsageError(
            f"{root} lies within the lake {lake}, and a lake cannot hold another one: give "
            f"--lake {lake}, or set QUANTLAKE_ROOT to it"
        )


def refuse_missing(root: Path) -> None:
    """Refuse a folder in which nothing of a lake is, as where a volume is not mounted.

    Raises:
        UsageError: as `refuse_nested`, or there is no lake.
    """
    refuse_nested(root)
    if not any((root / part).is_dir() for part in (BRONZE, "ops")):
        raise UsageError(
            f"there is no lake at {root}; give its folder with --lake, or make one: "
            "`polygon-fundamentals historical-load --generation v2 --tickers AAPL,MSFT`"
        )
