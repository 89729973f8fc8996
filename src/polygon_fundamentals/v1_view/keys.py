"""The keys of readers of `serve-v1`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection


class Keys:
    """Some keys, of which a request must name one; without any, none is asked for.

    Compared by their digests, each of them to its end, so that the time of an answer tells
    nothing of a key.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, given: str | None) -> bool:
        """Return whether a key is one of these."""
        if not self._digests:
            return True
        digest = hashlib.sha256((given or "").encode("utf-8", "surrogateescape")).digest()
        matches = False
        for known in self._digests:
            matches |= hmac.compare_digest(known, digest)
        return matches and bool(given)
