"""What went wrong at a store, in one line with its remedy. Never what the store said word for word:

its answers repeat the key's name and the text that was signed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from polygon_fundamentals.errors import PublishError

_UNCHANGED = "readers of it still see the version before"
# What the store's client says → what is wrong, and the next step. The first that fits counts.
_FAULTS: tuple[tuple[str, str, str], ...] = (
    (
        r"No space left|os error 28\b|StorageFull|Disk quota|os error 122\b|InsufficientStorage",
        "the disk is full",
        "free space there",
    ),
    (
        r"NoSuchBucket|bucket does not exist|ContainerNotFound",
        "there is no such bucket",
        "create it, or correct --to",
    ),
    (
        r"Account must be specified|169\.254\.169\.254|metadata\.google|token request",
        "no credentials were given",
        "set them in the environment (AWS_ACCESS_KEY_ID, GOOGLE_SERVICE_ACCOUNT, "
        "AZURE_STORAGE_ACCOUNT_NAME, ...) or name a block with --credentials-block",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|401 Unauthorized",
        "the store does not accept the credentials",
        "renew them in the environment or in the block",
    ),
    (
        r"403 Forbidden|AccessDenied|lacked the necessary privileges|os error 13\b|"
        r"Permission ?[dD]enied|os error 30\b|Read-only file system",
        "access is denied",
        "give the credentials the right to list, read, write and delete there",
    ),
    (
        r"error sending request|[Cc]onnect|timed? ?out|after \d+ retries|dns error|"
        r"50\d (Internal|Bad|Service|Gateway)",
        "the store does not answer",
        "check the network and AWS_ENDPOINT_URL",
    ),
)


@contextmanager
def explained(table: str, again: str) -> Iterator[None]:
    """Turn what the store's client raises in the body into one line with its remedy.

    `again` is the command that publishes to the same place.

    Raises:
        PublishError: the table could not be written; it stands as it was.
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
    """
    try:
        yield
    except CommitFailedError as error:
        raise PublishError(
            f"{table}: another publisher committed at the same time, so nothing of this run is in "
            f"it; run `{again}` again"
        ) from error
    except (DeltaError, TableNotFoundError, OSError, ValueError) as error:
        # Ctrl-C while Delta Lake's writer calls back into Python comes out as one of these.
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        if isinstance(error, ValueError):
            raise
        raise _explain(table, again, str(error)) from error


def _explain(table: str, again: str, said: str) -> PublishError:
    if "table already exists" in said:
        return PublishError(
            f"{table}: another publisher created it at the same time; run `{again}` again"
        )
    for pattern, wrong, remedy in _FAULTS:
        if re.search(pattern, said):
            next_step = f"{remedy[:1].upper()}{remedy[1:]}, then run `{again}` again"
            return PublishError(f"{table}: {wrong}; {_UNCHANGED}. {next_step}")
    first = re.sub(r"\x1b\[[0-9;]*m|[?<].*", "", said.partition("\n")[0]).strip()
    return PublishError(f"{table}: {first[:160]}; {_UNCHANGED}. Run `{again}` again")
