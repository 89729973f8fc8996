"""The errors of this project, classed by what can be done about them.

Every error ends a command with its own exit code and one line: what happened, to
what, and what to do next. Nothing here ever carries the API key.
"""

from __future__ import annotations

from typing import ClassVar


class FundamentalsError(Exception):
    """Base of all errors that a user may see; `exit_code` is the command's."""

    exit_code: ClassVar[int] = 3


class UsageError(FundamentalsError):
    """Wrong use or configuration: nothing was asked of the API, nothing was written."""

    exit_code = 2


class ApiError(FundamentalsError):
    """The API did not give what was asked for."""


class RetriableApiError(ApiError):
    """A passing fault: the same request may succeed later.

    `retry_after` is what the server asked for, in seconds, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(RetriableApiError):
    """429: too many requests; waiting helps however often it takes, within the deadline."""


class BrownoutError(RetriableApiError):
    """410 before the announced sunset: the endpoint is away for a while, to be noticed."""


class BadRequestError(ApiError):
    """400: the API refuses the parameters."""


class UnauthorizedError(ApiError):
    """401: the API does not know the key."""


class NotEntitledError(ApiError):
    """403: the key's plan does not include the endpoint; not a fault to retry."""


class NotFoundError(ApiError):
    """404: no such path at this base URL."""


class RetiredError(ApiError):
    """410 past its sunset: the endpoint is gone for good.

    `since` is the day announced by the `Sunset` header (YYYY-MM-DD), or None.
    """

    def __init__(self, message: str, since: str | None = None) -> None:
        super().__init__(message, since)
        self.since = since

    def __str__(self) -> str:
        return str(self.args[0])


class InterruptedRequestError(ApiError):
    """The run was interrupted, so its requests are given up; not a fault of the API."""

    exit_code = 130


class PaginationError(ApiError):
    """A `next_url` that leads in a circle or away from the endpoint."""


class FormatError(ApiError):
    """An answer most of whose rows have another form than the API's description gives them."""


class ContentError(ApiError):
    """An answer that came whole, with something in it that no row can be made of."""


class EdgarUnreachableError(ApiError):
    """EDGAR gave no answer: a normal state, in which everything goes on without it."""


class EdgarIdentityError(UsageError):
    """EDGAR does not accept who asks; no further request helps before that is changed."""


class LakeError(FundamentalsError):
    """The lake cannot be used as it is."""

    exit_code = 4


class LakeLockedError(LakeError):
    """Another run holds a lock that this one needs."""


class DamagedFileError(LakeError):
    """A file of the lake cannot be read; it is named and never replaced."""


class PublishError(FundamentalsError):
    """A published table could not be written; its readers see it as it was."""


class AnswerIsNo(FundamentalsError):
    """The question was answered, and the answer is no (parity differs, checklist unmet)."""

    exit_code = 1


def class_of(error: FundamentalsError) -> str:
    """Return the name of an error's class; where retries ran out, that of the fault retried."""
    cause = error.__cause__
    return type(cause if isinstance(cause, RetriableApiError) else error).__name__


def exit_code_of(name: str) -> int:
    """Return the exit code of a named error class; 3 for a class that is not ours."""
    kind = globals().get(name)
    if isinstance(kind, type) and issubclass(kind, FundamentalsError):
        return kind.exit_code
    return FundamentalsError.exit_code


def without_class(message: str) -> str:
    """Return an error's recorded message without the name of its class, if that is one of ours."""
    name, colon, words = message.partition(": ")
    kind = globals().get(name)
    is_ours = isinstance(kind, type) and issubclass(kind, FundamentalsError)
    return words if colon and is_ours else message


def as_fundamentals_error(error: FundamentalsError | OSError) -> FundamentalsError:
    """Return the error as a FundamentalsError; an OSError becomes a LakeError with a remedy."""
    if isinstance(error, FundamentalsError):
        return error
    place = f"{error.filename}: " if error.filename else ""
    return LakeError(
        f"{place}{error.strerror or error}; existing files are intact. Free space or fix the "
        "permissions of the lake, then run again"
    )
