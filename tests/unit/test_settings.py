"""Settings: arguments, then environment, then defaults; every problem told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from polygon_fundamentals.errors import LakeError, UsageError, as_fundamentals_error
from polygon_fundamentals.settings import (
    TEMPORARY_SERVER,
    api_key,
    is_default_lake,
    lake_root,
    load_settings,
    server_configured,
)
from polygon_fundamentals.tickers import read_tickers


def test_defaults_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.base_url == "https://api.massive.com"
    assert settings.requests_per_minute is None
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "5")
    monkeypatch.setenv("POLYGON_BASE_URL", "https://api.polygon.io/")
    settings = load_settings()
    assert (settings.base_url, settings.requests_per_minute) == ("https://api.polygon.io", 5)
    assert load_settings("http://127.0.0.1:1").base_url == "http://127.0.0.1:1"


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "none")
    monkeypatch.setenv("POLYGON_THREADS", "0")
    with pytest.raises(UsageError) as caught:
        load_settings("ftp://x")
    assert str(caught.value).count(";") == 2


@pytest.mark.parametrize("name", ["POLYGON_THREADS", "POLYGON_PROCESSES", "POLYGON_RETRY_ATTEMPTS"])
@pytest.mark.parametrize("text", ["inf", "1e999", "nan", "-1", "x"])
def test_what_is_no_finite_number_is_told(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(UsageError, match=f"^{name}='{text}' is not a number of at least 1$"):
        load_settings()


@pytest.mark.parametrize(
    "url",
    [
        *("http://[::1", "http://u:secret@[x]/"),
        *("http://secret:99999", "http://secret:abc", "http://secret..com", "http://.secret"),
    ],
)
def test_a_base_url_that_cannot_be_read_is_told_without_it(url: str) -> None:
    with pytest.raises(
        UsageError, match=r"^the host or port of the base URL cannot be read"
    ) as caught:
        load_settings(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("https://u:p@host", "https://@host", "https://:p@host"),
        *("https://host?apiKey=1", "https://host?", "https://host#apiKey", "https://host/#"),
    ],
)
def test_a_base_url_that_could_hold_a_secret_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="must not hold") as caught:
        load_settings(url)
    assert "apiKey" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host", "host", "http://", "http:///x", "http://ex ample.com", "http://h/a b"]
)
def test_a_base_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UsageError, match=r"^base URL .* is not http"):
        load_settings(url)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8080", "http://h_1:80/polygon", "https://b\u00fccher.example", "HTTP://h"]
)
def test_a_base_url_that_can_be_used_stands_as_it_was_given(url: str) -> None:
    assert load_settings(url + "/").base_url == url


def test_the_key_comes_from_either_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYGON_API_KEY")
    with pytest.raises(UsageError, match="no API key"):
        api_key()
    monkeypatch.setenv("MASSIVE_API_KEY", " second ")
    assert api_key() == "second"
    monkeypatch.setenv("POLYGON_API_KEY", "first")
    assert api_key() == "first"
    monkeypatch.setenv("POLYGON_API_KEY", "ab\ncd")
    with pytest.raises(UsageError) as caught:
        api_key()
    assert "cd" not in str(caught.value).split()


def test_where_the_lake_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert lake_root() == tmp_path / "data"
    monkeypatch.setenv("QUANTLAKE_ROOT", "/somewhere")
    assert lake_root() == Path("/somewhere")
    assert lake_root("here") == tmp_path / "here"
    monkeypatch.setenv("QUANTLAKE_ROOT", "/somewhere \r")
    assert lake_root() == Path("/somewhere")
    assert is_default_lake(Path("/somewhere"))
    monkeypatch.setenv("QUANTLAKE_ROOT", " ")
    assert lake_root() == tmp_path / "data"
    assert is_default_lake(Path("/somewhere")) is None
    with pytest.raises(UsageError, match="object stores"):
        lake_root("s3://bucket/lake")


def test_whether_a_server_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_PROFILES_PATH", "/no/such/file")
    assert not server_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert server_configured()
    monkeypatch.setenv(TEMPORARY_SERVER, "http://127.0.0.1:4200/api")
    assert not server_configured()


def test_a_server_in_prefects_active_profile_is_configured_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert not server_configured()
    file = tmp_path / "profiles.toml"
    address = 'PREFECT_API_URL = "http://127.0.0.1:4200/api"'
    file.write_text(f'active = "mine"\n[profiles.mine]\n{address}\n[profiles.none]\n')
    assert server_configured()
    monkeypatch.setenv("PREFECT_PROFILE", "none")
    assert not server_configured()
    file.write_text("active = ")
    with pytest.raises(UsageError, match=r"profiles.toml cannot be read \(TOMLDecodeError\)"):
        server_configured()


def test_tickers_from_lists_and_files(tmp_path: Path) -> None:
    file = tmp_path / "tickers.txt"
    file.write_text("\ufeffMSFT\n\n# comment\nbrk.b  # Berkshire\nBACpB, AAPL\n", encoding="utf-8")
    assert read_tickers(["aapl,MSFT", "AAPL"], str(file)) == ["AAPL", "MSFT", "BRK.B", "BACpB"]
    assert read_tickers(None) == []
    with pytest.raises(UsageError, match="--tickers is blank"):
        read_tickers([" "], str(file))
    file.write_text("# nothing\n")
    with pytest.raises(UsageError, match="names no ticker"):
        read_tickers(None, str(file))
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_tickers(None, str(file))
    with pytest.raises(UsageError, match="is not a ticker"):
        read_tickers(["X" * 300])


def test_what_the_file_system_refuses_is_a_matter_of_the_lake() -> None:
    error = as_fundamentals_error(OSError(28, "No space left on device", "/lake/x"))
    assert isinstance(error, LakeError)
    assert str(error).startswith("/lake/x: No space left on device; ")
    assert error.exit_code == 4
