"""The cache of comparisons: what the last runs found, by cluster of tickers.

It lies in `ops/cache/parity/` and may be deleted: the next run builds it again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import orjson

from polygon_fundamentals.errors import DamagedFileError
from polygon_fundamentals.lake.paths import Lake
from polygon_fundamentals.lake.storage import checked
from polygon_fundamentals.lake.storage.local import replace_file
from polygon_fundamentals.locks import exclusive
from polygon_fundamentals.parity.cache import code_digest
from polygon_fundamentals.parity.findings import StatementFindings
from polygon_fundamentals.statements import Statement

LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class CachedFindings:
    """What the last runs found: `keys` by a cluster's first ticker; states and CIKs by ticker."""

    findings: StatementFindings | None
    keys: Mapping[str, str]
    tickers: Mapping[str, tuple[str, list[str]]]

    @classmethod
    def read(cls, lake: Lake, statement: Statement, folder: Path) -> CachedFindings:
        """Return the cache as it is now, its tables linked into `folder`, safe from other runs."""
        home = _folder(lake, statement)
        try:
            with _held(lake, statement):
                data = (home / "known.json").read_bytes()
                known = orjson.loads(data)
                if not checked.is_intact(data) or known["code"] != code_digest():
                    return cls(None, {}, {})
                findings = StatementFindings(statement, home).linked(folder)
            findings.prove()
            tickers = {t: (state, ciks) for t, (state, ciks) in known["tickers"].items()}
            return cls(findings, known["keys"], tickers)
        except (DamagedFileError, OSError, orjson.JSONDecodeError, KeyError, ValueError):
            return cls(None, {}, {})

    def write(self, lake: Lake) -> None:
        """Put the tables in place, then what is known of them; killed in between: no cache."""
        assert self.findings is not None  # written only after a comparison
        folder = _folder(lake, self.findings.statement)
        known = {
            "code": code_digest(),
            "keys": dict(self.keys),
            "tickers": dict(self.tickers),
        }
        with _held(lake, self.findings.statement):
            (folder / "known.json").unlink(missing_ok=True)
            self.findings.linked(folder)
            for older in ("a", "b"):  # where the tables stood until November 2026
                shutil.rmtree(folder / older, ignore_errors=True)
            replace_file(folder / "known.json", checked.dumps(known))


def _held(lake: Lake, statement: Statement) -> AbstractContextManager[None]:
    """Hold the cache of a statement: two runs may compare at the same time."""
    return exclusive(lake.lock(f"parity.{statement.value}"), LOCK_SECONDS, "parity's cache")


def _folder(lake: Lake, statement: Statement) -> Path:
    return lake.ops / "cache" / "parity" / statement.value
