"""Where tables are published: a folder or an object store, and how it is reached."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from polygon_fundamentals.errors import UsageError

STORES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
# A cut connection ends a run within a minute or two, not after the store's own quarter of an hour.
_PATIENCE = {
    "connect_timeout": "10s",
    "timeout": "120s",
    "max_retries": "4",
    "retry_timeout": "60s",
}


@dataclass(frozen=True)
class PublishChoices:
    """Also bronze's current records; how far back time travel goes; replace others' tables."""

    bronze: bool = False
    keep_days: int = 30
    take_over: bool = False


@dataclass(frozen=True)
class Target:
    """A place for tables, without a slash at its end; `options` reach it and are never shown.

    `options` are those of Delta Lake (`AWS_ACCESS_KEY_ID`, ...). What they leave out the store's
    client takes from the environment.
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, text: str, options: Mapping[str, str] | None = None) -> Target:
        """Return the target that a URL or a folder's path stands for.

        Raises:
            UsageError: another scheme, or a URL that holds more than a bucket and a path. The text
                does not repeat it.
        """
        scheme = text.partition("://")[0].lower() if "://" in text else "file"
        if scheme not in ("file", *STORES):
            raise UsageError(
                f"--to: {scheme}:// is not known; give a folder, s3://, gs:// or az:// "
                "(abfss:// too)"
            )
        if scheme == "file":
            path = unquote(urlsplit(text).path) if "://" in text else text
            if not path.strip():
                raise UsageError("--to is empty; give a folder, s3://, gs:// or az://")
            return cls(str(Path(path).expanduser().absolute()))
        parts = urlsplit(text)
        user = "@" in parts.netloc and scheme not in ("abfs", "abfss")
        if user or ":" in parts.netloc or "?" in text or "#" in text:
            raise UsageError(
                "--to must not hold a user, a password, a port or a query: credentials and the "
                "endpoint come from the environment or from --credentials-block"
            )
        if not parts.netloc or re.search(r"\s", text):
            raise UsageError(f"--to names no bucket; write {scheme}://BUCKET/FOLDER")
        return cls(text.rstrip("/"), {**_PATIENCE, **(options or {})})

    @property
    def is_folder(self) -> bool:
        """Whether it is on a file system."""
        return "://" not in self.url

    @property
    def command(self) -> str:
        """The command that publishes there."""
        return f"polygon-fundamentals publish --to {shlex.quote(self.url)}"

    def table(self, name: str) -> str:
        """Return the URL of a table, for people and for the client."""
        return f"{self.url}/{name}"
