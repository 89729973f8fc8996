"""Tickers as users give them: lists and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.lake.file_names import ticker_file_name


def read_tickers(
    tickers: Sequence[str] | None, file: str | None = None, *, option: str = "--tickers"
) -> list[str]:
    """Return the tickers of a list and of a file with one per line, each once, in order.

    None and an empty list name none, which mostly stands for the whole lake. A list of blanks, as
    an unset shell variable makes it, is refused; `option` is the list's name in the message.

    A word all in lower case is taken as its upper case; mixed case stays (BRKpA). In a
    file, blank lines and what follows a # are passed over.

    Raises:
        UsageError: the list or the file names none, the file cannot be read, or a name cannot be a
            ticker.
    """
    words = [word for item in tickers or () for word in item.split(",")]
    if tickers and not any(word.strip() for word in words):
        raise UsageError(f"{option} is blank: name a ticker, such as AAPL, or leave it out")
    if file is not None:
        try:
            lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise UsageError(
                f"--tickers-file {file} cannot be read ({reason}); give a text file "
                "with one ticker per line"
            ) from error
        words += [word for line in lines for word in line.split("#")[0].replace(",", " ").split()]
    names = [word.strip() for word in words if word.strip()]
    names = [name.upper() if name.islower() else name for name in names]
    for name in names:
        if ";" in name:
            raise UsageError(f"{name!r} is not a ticker: write a comma between two tickers")
        ticker_file_name(name)
    if file is not None and not names:
        raise UsageError(f"--tickers-file {file} names no ticker; write one per line")
    return list(dict.fromkeys(names))
