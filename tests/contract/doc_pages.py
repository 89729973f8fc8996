"""What the pages of the documentation hold: commands, paths and names in code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src" / "polygon_fundamentals"
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4,}(\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_PROGRAM = re.compile(
    r"(?:-m flows|(?<![\w/.-])polygon-fundamentals|/bin/polygon-fundamentals)\s+(?=[a-z-])(.*)$"
)
_OF_A_LAKE = re.compile(
    r"\./|\.venv/|(bronze|ops|archive|data|demo-lake|bench|fundamentals_wide)/"
    r"|silver/(fundamentals_|builds|as_of)"
)
_JSON_CMD = re.compile(r'"-m", "flows", (.*)\]')


@dataclass(frozen=True)
class Command:
    """A command line of ours on a page: its words after the program's name.

    `whole` where it stands in a code block, to be typed as it is.
    """

    page: str
    words: tuple[str, ...]
    whole: bool = True

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(text: str) -> str:
    """Return the code blocks of a page, fenced and indented, one after the other."""
    fenced = _BLOCK.findall(text)
    return "\n".join([*fenced, *_INDENTED.findall(_BLOCK.sub("", text))]).replace("\\\n", " ")


def code_spans(text: str) -> list[str]:
    """Return what stands between single backticks outside the code blocks."""
    return _INLINE.findall(_BLOCK.sub("", text))


def commands(page: Path, names: frozenset[str]) -> Iterator[Command]:
    """Yield each command of ours that a page shows, in blocks and between backticks."""
    text = page.read_text(encoding="utf-8")
    where = str(page.relative_to(ROOT))
    block_lines = blocks(text).splitlines()
    for number, line in enumerate([*block_lines, *code_spans(text)]):
        whole = number < len(block_lines)
        if match := _JSON_CMD.search(line):
            yield Command(where, tuple(re.findall(r'"([^"]*)"', match.group(1))), whole)
        elif (match := _PROGRAM.search(line)) and (words := _words(match.group(1))):
            yield Command(where, words, whole)
    for span in code_spans(text):
        words = _words(span)
        if words and words[0] in names and any(word.startswith("--") for word in words):
            yield Command(where, words, False)


def _words(line: str) -> tuple[str, ...]:
    """Return the words of a command line up to what the shell takes for itself.

    The brackets and the dots of `[--script F]…` are not typed; three spaces before a sentence begin
    its explanation; N is a number.
    """
    line = re.sub(r" N(?= |$)", " 1", re.split(r"\s{3,}", line)[0])
    line = re.sub(r"\b\d(?=>)", "", line)  # the 2 of 2>&1
    lexer = shlex.shlex(re.sub(r"[\[\]…]", " ", line), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>"):
            break
        words.append(word)
    return tuple(words)


def paths(page: Path) -> Iterator[str]:
    """Yield what looks like a file or folder of this repository between backticks.

    Folders of a lake or of `.venv`, and names with a placeholder in capitals, are none.
    """
    text = page.read_text(encoding="utf-8")
    if page.name in ("plan.md", "cron.md"):  # their tables' first column is what others had
        text = re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE)
    for span in code_spans(text):
        is_path = re.fullmatch(r"[\w.*-]+(/[\w.*-]*)+|[\w*-]+\.(py|toml|yaml|md)", span)
        if not is_path or _OF_A_LAKE.match(span) or "NAME" in span:
            continue
        # A bare folder may be one of a lake's neighbours, besides on the page of the code's rooms.
        first = span.split("/")[0]
        if (
            re.search(r"\.(py|toml|yaml|md|csv|sh)$", span)
            or page.name == "architecture.md"
            or any((base / first).exists() for base in (ROOT, LIBRARY))
        ):
            yield span


def exists(path: str, page: Path) -> bool:
    """Return whether a path that a page names is there, from the root, the page or the library."""
    bases = (ROOT, page.parent, LIBRARY)
    return any(any(base.glob(path.rstrip("/"))) for base in bases)
