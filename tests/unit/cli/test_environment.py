"""What a command's environment does: proxies, Prefect's settings, its server's address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console import NAME, from_cron

DEAD = "http://127.0.0.1:9"


@pytest.mark.slow
def test_a_proxy_is_not_asked_for_the_servers_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    proxies = {"HTTP_PROXY": DEAD, "HTTPS_PROXY": DEAD, "ALL_PROXY": DEAD, "http_proxy": DEAD}
    done = from_cron(f"{NAME} silver --lake lake", tmp_path, proxies, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "variable", "code", "said"),
    [
        (
            "silver --lake .",
            ("PREFECT_LOGGING_COLORS", "maybe"),
            2,
            "PREFECT_LOGGING_COLORS is 'maybe', which is not a valid boolean: correct or unset it",
        ),
        (
            "checklist --lake .",
            ("PREFECT_API_ENABLE_HTTP2", "perhaps"),
            2,
            "PREFECT_API_ENABLE_HTTP2 is 'perhaps', which is not a valid boolean: correct or unset "
            "it",
        ),
        (
            "silver --lake .",
            ("PREFECT_API_URL", f"{DEAD.replace('//', '//ada:secret@')}/api"),
            3,
            f"the Prefect server of {DEAD}/api does not answer: start it or correct "
            "PREFECT_API_URL; unset it to run without one",
        ),
    ],
)
@pytest.mark.slow
def test_what_prefect_cannot_use_is_told_in_one_line_with_the_remedy(
    line: str, variable: tuple[str, str], code: int, said: str, tmp_path: Path
) -> None:
    done = from_cron(f"{NAME} {line}", tmp_path, dict([variable]), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, f"error: {said}\n")
