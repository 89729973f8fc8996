"""The files that a team edits: a fault is reported in one line, with its field and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from polygon_fundamentals.errors import UsageError
from polygon_fundamentals.settings_file import read_toml, read_yaml


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int = 5
    names: tuple[str, ...] = ()


AGAIN = "; correct the file, then run again"


def message_of(read: Callable[[Path, type[Settings]], Settings], path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(path, Settings)
    return str(caught.value).removeprefix(f"{path}: ")


def test_what_a_file_says_and_what_it_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    assert read_toml(file, Settings) == read_toml(None, Settings) == Settings()
    file.write_text("")
    assert read_toml(file, Settings) == read_yaml(file, Settings) == Settings()
    file.write_text("days = 3\n")
    assert read_toml(file, Settings).days == 3
    file.write_text("names: [a]\n")
    assert read_yaml(file, Settings).names == ("a",)
    file.write_text("days = 4\n", encoding="utf-8-sig")  # as an editor of Windows saves it
    assert read_toml(file, Settings).days == 4


@pytest.mark.parametrize(
    ("read", "content", "words"),
    [
        (read_toml, b"dais = 3\nnames = 1\n", "names: Input should be a valid tuple; dais: is not "
         f"a key of this file{AGAIN}"),
        (read_toml, b"days 3\n", f"is not TOML (Expected '=' after a key in a key/value pair (at "
         f"line 1, column 6)){AGAIN}"),
        (read_toml, b"\xff", "is not TOML ('utf-8' codec can't decode byte 0xff in position 0: "
         f"invalid start byte){AGAIN}"),
        (read_yaml, b"[1]\n", "Input should be a valid dictionary or instance of Settings" + AGAIN),
        (read_yaml, b"{names: [a], so, days: 1}\n", "so: is not a key of this file; put quotes "
         f"around a text in braces that has a comma in it{AGAIN}"),
    ],
)  # fmt: skip
def test_faults_are_reported_in_one_line(
    tmp_path: Path,
    read: Callable[[Path, type[Settings]], Settings],
    content: bytes,
    words: str,
) -> None:
    file = tmp_path / "settings"
    file.write_bytes(content)
    assert message_of(read, file) == words


def test_faults_of_yaml_stand_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("days: [\n")
    assert message_of(read_yaml, file).startswith("is not YAML (while parsing a flow node ")
    assert "\n" not in message_of(read_yaml, file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    words = "cannot be read ({}); put the file back, then run again"
    assert message_of(read_toml, tmp_path) == words.format("Is a directory")
    assert message_of(read_yaml, tmp_path / "none") == words.format("No such file or directory")
