"""Settings: the one module that reads the environment.

The API key is held apart from the settings (`api_key()`), so that settings can be
shown, logged and passed as parameters without it.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.keys import keys_in, usable_key
from polygon_fundamentals.places import problem_of_url, refuse_missing, refuse_nested

DEFAULT_BASE_URL = "https://api.massive.com"
KEY_VARIABLES = ("POLYGON_API_KEY", "MASSIVE_API_KEY")
# Set beside PREFECT_API_URL by a command that started a server for its own length.
TEMPORARY_SERVER = "POLYGON_TEMPORARY_PREFECT_SERVER"
# Who asks, as edgartools' users have it; the addresses may be others, for tests and mirrors.
EDGAR_IDENTITY = "EDGAR_IDENTITY"
EDGAR_DATA_URL, EDGAR_BASE_URL = "https://data.sec.gov", "https://www.sec.gov"
_IDENTITY = re.compile(r"[^\s@/:][^@/:]* [^\s@/:]+@[^\s@/:]+\.[^\s@/:]+")


@dataclass(frozen=True)
class Settings:
    """How to reach the API and how hard to try; times in seconds.

    `requests_per_minute` None means no limit of our own (the server's 429 still
    slows a run down). `deadline` is for one request with its retries, without the time
    that it waits for its turn under that limit; `answer_deadline` is for one whole answer, and
    `download_deadline` for a file of gigabytes. `largest_answer` is in bytes; the largest page,
    50,000 rows of v2, has some 80 million. `variable` is the environment's, which holds `base_url`.
    """

    base_url: str = DEFAULT_BASE_URL
    requests_per_minute: int | None = None
    threads: int = 8
    processes: int = 2
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 90.0
    deadline: float = 180.0
    answer_deadline: float = 300.0
    download_deadline: float = 7200.0
    largest_answer: int = 256_000_000
    variable: str = "POLYGON_BASE_URL"


@dataclass(frozen=True)
class EdgarSettings:
    """How to reach SEC EDGAR, and who asks; times in seconds.

    Facts and submissions come from `data`, the nightly zips from `archives`. `identity` goes into
    the header `User-Agent` and nowhere else. The SEC allows ten requests a second; one who asks
    more often is cut off until he has been silent for ten minutes.
    """

    identity: str = field(repr=False)
    data: Settings
    archives: Settings
    requests_per_second: int = 8
    pause: float = 600.0


def load_edgar_settings() -> EdgarSettings | None:
    """Return how to reach EDGAR, or None where EDGAR_IDENTITY is not set.

    Raises:
        UsageError: the identity or an address cannot be used. The text does not hold it.
    """
    identity = " ".join(os.environ.get(EDGAR_IDENTITY, "").split())
    if not identity:
        return None
    if not _IDENTITY.fullmatch(identity) or not identity.isascii():
        raise UsageError(
            f'{EDGAR_IDENTITY} is not a name and an e-mail address, as in "Jane Doe '
            'jane@example.com"; SEC EDGAR refuses anything else, and any web address in it'
        )
    urls = {
        name: os.environ.get(name) or default
        for name, default in (
            ("EDGAR_DATA_URL", EDGAR_DATA_URL),
            ("EDGAR_BASE_URL", EDGAR_BASE_URL),
        )
    }
    for name, url in urls.items():
        if problem := problem_of_url(url):
            raise UsageError(f"{name}: {problem}")
    data, archives = (
        # What it is asked for is not needed for an answer, so a run does not wait long for it.
        Settings(url.rstrip("/"), attempts=3, deadline=60.0, read_timeout=60.0, variable=name)
        for name, url in urls.items()
    )
    return EdgarSettings(identity, data, archives)


def load_settings(base_url: str | None = None) -> Settings:
    """Return the settings of this process: arguments, then environment, then defaults.

    Raises:
        UsageError: the text lists every unusable value.
    """
    problems: list[str] = []
    url = base_url or os.environ.get("POLYGON_BASE_URL") or DEFAULT_BASE_URL
    if problem := problem_of_url(url):
        problems.append(problem)

    def number(name: str, default: float | None, least: float) -> float | None:
        text = os.environ.get(name, "").strip()
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < math.inf:
            problems.append(f"{name}={text!r} is not a number of at least {least:g}")
            return default
        return value

    rate = number("POLYGON_REQUESTS_PER_MINUTE", None, 1)
    defaults = Settings()
    threads = number("POLYGON_THREADS", defaults.threads, 1)
    processes = number("POLYGON_PROCESSES", min(defaults.processes, os.cpu_count() or 1), 1)
    deadline = number("POLYGON_RETRY_DEADLINE", defaults.deadline, 1)
    answer = number("POLYGON_ANSWER_TIMEOUT", defaults.answer_deadline, 1)
    attempts = number("POLYGON_RETRY_ATTEMPTS", defaults.attempts, 1)
    if problems:
        raise UsageError("; ".join(problems))
    return Settings(
        base_url=url.rstrip("/"),
        requests_per_minute=int(rate) if rate else None,
        threads=int(threads or 1),
        processes=int(processes or 1),
        deadline=float(deadline or 1),
        answer_deadline=float(answer or 1),
        attempts=int(attempts or 1),
    )


def threads() -> int:
    """Return the number of threads of a run, for the task runners, which are made at import.

    No import fails: what `load_settings` refuses, a flow refuses when it runs.
    """
    try:
        return load_settings(DEFAULT_BASE_URL).threads
    except UsageError:
        return Settings().threads


def api_key() -> str:
    """Return the API key from POLYGON_API_KEY or MASSIVE_API_KEY.

    Raises:
        UsageError: no key, or one that cannot stand in a header. The text never holds it.
    """
    for name in KEY_VARIABLES:
        if os.environ.get(name, "").strip():
            return usable_key(os.environ[name], name)
    raise UsageError(
        "no API key: set POLYGON_API_KEY (or MASSIVE_API_KEY) in the environment, "
        "or try `polygon-fundamentals demo`, which needs none"
    )


def reader_keys() -> list[str]:
    """Return the keys that readers of `serve-v1` may name; empty where none is set.

    From the file that SERVE_V1_KEYS_FILE names, and POLYGON_API_KEY.

    Raises:
        UsageError: the file cannot be read, or a key is unusable. The text never holds it.
    """
    keys = []
    if file := os.environ.get("SERVE_V1_KEYS_FILE", "").strip():
        keys += keys_in(Path(file).expanduser())
    if os.environ.get("POLYGON_API_KEY", "").strip():
        keys.append(usable_key(os.environ["POLYGON_API_KEY"], "POLYGON_API_KEY"))
    return keys


def lake_root(argument: str | Path | None = None) -> Path:
    """Return the lake's folder: the argument, else QUANTLAKE_ROOT, else ./data; absolute.

    Raises:
        UsageError: it is the address of an object store.
    """
    text = str(argument or os.environ.get("QUANTLAKE_ROOT", "").strip() or "data")
    if re.match(r"[a-z0-9]+:/", text):
        raise UsageError(
            f"{text} is an address, not a folder: the lake needs a local or mounted file "
            "system with atomic rename; object stores have none"
        )
    return Path(text).expanduser().absolute()


def is_default_lake(root: Path) -> bool | None:
    """Return whether a lake is the one that commands use without `--lake`.

    None if that is not known: QUANTLAKE_ROOT is not set, and the lake is not ./data.
    """
    if root.resolve() == lake_root().resolve():
        return True
    return False if os.environ.get("QUANTLAKE_ROOT", "").strip() else None


def new_lake_root(argument: str | Path | None = None) -> Path:
    """Return `lake_root` for a command that may make the lake.

    Raises:
        UsageError: it lies within another lake, or it is the address of an object store.
    """
    root = lake_root(argument)
    refuse_nested(root)
    return root


def existing_lake_root(argument: str | Path | None = None) -> Path:
    """Return `lake_root` for a command that must not create a lake: a mistyped folder is refused.

    Raises:
        UsageError: there is no such folder, nothing of a lake is in it (as where a volume is not
            mounted), it lies within another lake, or it is the address of an object store.
    """
    root = lake_root(argument)
    refuse_missing(root)
    return root


def publish_url(argument: str | None = None) -> str:
    """Return where to publish: the argument, else QUANTLAKE_PUBLISH_URL.

    Raises:
        UsageError: neither is given.
    """
    text = (argument or os.environ.get("QUANTLAKE_PUBLISH_URL") or "").strip()
    if not text:
        raise UsageError(
            "nothing says where to publish: give --to with a folder, s3://, gs:// or az://, or set "
            "QUANTLAKE_PUBLISH_URL"
        )
    return text


def have_arrow_give_memory_back() -> None:
    """Have Arrow, not imported yet, read Parquet with the system's pool: others keep 40 MB."""
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"


def environment_with(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment for a command of the user's, without the API key."""
    return {n: v for n, v in os.environ.items() if n not in KEY_VARIABLES} | dict(more)


def server_configured() -> bool:
    """Return whether the environment or the active profile names a Prefect server or Cloud.

    A server that the command itself started does not count.
    `prefect cloud login` and `prefect config set` write the profile. It is read here as Prefect
    reads it, so that wrong use is reported without waiting for Prefect.

    Raises:
        UsageError: the file of profiles cannot be read.
    """
    if url := os.environ.get("PREFECT_API_URL", "").strip():
        return url != os.environ.get(TEMPORARY_SERVER)
    home = os.environ.get("PREFECT_HOME") or "~/.prefect"
    file = Path(os.environ.get("PREFECT_PROFILES_PATH") or f"{home}/profiles.toml").expanduser()
    try:
        profiles = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise UsageError(
            f"Prefect's profiles in {file} cannot be read ({type(error).__name__}); correct the "
            "file, or name the server in PREFECT_API_URL"
        ) from error
    name = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    return bool(profiles.get("profiles", {}).get(name, {}).get("PREFECT_API_URL"))
