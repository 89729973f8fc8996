"""Lists of which a Prefect server gives a limited number of items at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# The server refuses to give more at once.
PAGE = 200


def read_all(read_page: Callable[[int, int], list[T]]) -> list[T]:
    """Return a list of the server's, read to its end; `read_page` takes limit and offset.

    Have the server sort the list by something that does not change meanwhile, such as the id.
    """
    items: list[T] = []
    while True:
        page = read_page(PAGE, len(items))
        items += page
        if len(page) < PAGE:
            return items
