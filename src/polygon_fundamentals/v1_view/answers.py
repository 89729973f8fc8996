"""The pages that `serve-v1` answers with, made of the index's records and remembered."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from polygon_fundamentals.statements import V1_PATH
from polygon_fundamentals.v1_view.index import Index
from polygon_fundamentals.v1_view.packing import unpack
from polygon_fundamentals.v1_view.query import Place, V1Query, decode_cursor, encode_cursor
from polygon_fundamentals.v1_view.read_texts import WAIT_SECONDS
from polygon_fundamentals.v1_view.state import MovedError, NotReadyError

RETRY_SECONDS = 0.1
_CACHED_BYTES = 16_000_000
_CACHED_QUERIES = 2_000


@dataclass(frozen=True)
class Answer:
    """A page, compressed: nearly every reader takes it so, and its text is ten times as long."""

    gzipped: bytes
    etag: str
    generations: str

    @property
    def body(self) -> bytes:
        """The page's text."""
        return gzip.decompress(self.gzipped)


class Pages:
    """The pages that were asked for last, made of the index's records."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[Any, ...], Answer] = OrderedDict()
        self._bytes = 0
        # (Text of a query, address of the request) → the query and where its page begins.
        self._queries: OrderedDict[tuple[bytes, str], tuple[V1Query, Place | None]] = OrderedDict()

    def known(self, text: bytes, base: str) -> Answer | None:
        """Return the page of a query given as text, if it was answered before.

        None where it was not, or where its records changed since; never waits.
        """
        asked = self._queries.get((text, base))
        if asked is None:
            return None
        query, after = asked
        number = self._index.number(query.ticker, query.cik)
        return None if number is None else self._known((number, query, after, base))

    def answer(self, text: bytes, query: V1Query, base: str) -> Answer:
        """Return the page of a query, given also as `text`; `next_url` begins with `base`.

        Raises:
            BadQueryError: it is not one of our cursors.
            NotReadyError, UnreadableError: as `Index.records`.
        """
        after = None
        if query.cursor is not None:
            query, after = decode_cursor(query.cursor)
        with self._lock:
            self._queries[text, base] = query, after
            if len(self._queries) > _CACHED_QUERIES:
                self._queries.popitem(last=False)
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                return self._page(query, after, base)
            except MovedError:
                # A file changed, and a later state has it as it is; or a switch gave v1's folder
                # another name, and it is there.
                if time.monotonic() > until:
                    raise NotReadyError("the lake is changing at the moment") from None
                time.sleep(RETRY_SECONDS)

    def _page(self, query: V1Query, after: Place | None, base: str) -> Answer:
        """Return the page after a place; raises as `answer`, and MovedError."""
        records, number = self._index.records(query.ticker, query.cik)
        key = (number, query, after, base)
        known = self._known(key)
        if known is not None:
            return known
        matches, following = records.page(query, after)
        texts = self._index.texts.of(matches)
        rows = [unpack(s if query.include_sources and s else body) for body, s in texts]
        head = f'"count":{len(rows)}'
        if following is not None:
            head += f',"next_url":"{base}{V1_PATH}?cursor={encode_cursor(query, following)}"'
        rest = b",".join([head.encode(), b'"results":[' + b",".join(rows) + b"]}"])
        digest = hashlib.blake2b(rest, digest_size=16).hexdigest()
        generations = ",".join(sorted({r.generation for r in matches}))
        start = f'{{"status":"OK","request_id":"{digest}",'.encode()
        # Without a time, the same page is always the same bytes. At level 1 it takes 3 ms less,
        # once, and is nearly twice as long to be sent and remembered.
        gzipped = gzip.compress(start + rest, 6, mtime=0)
        made = Answer(gzipped, f'W/"{digest}"', generations)
        with self._lock:
            if key not in self._answers:
                self._answers[key] = made
                self._bytes += len(made.gzipped)
            while self._bytes > _CACHED_BYTES and len(self._answers) > 1:
                _, oldest = self._answers.popitem(last=False)
                self._bytes -= len(oldest.gzipped)
        return made

    def _known(self, key: tuple[Any, ...]) -> Answer | None:
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                self._answers.move_to_end(key)
            return known
