"""The code blocks of a Markdown page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"reference-cli.md"}  # tools/cli_reference.py writes it; its test compares the text
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in GENERATED),
]
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]*?) *-->\n+)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the reason why it does not run, if it has one."""

    language: str
    text: str
    reason: str | None
    line: int


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(one["language"], one["text"], one["reason"], text.count("\n", 0, one.start("text")))
        for one in _BLOCK.finditer(text)
    ]
    assert text.count("```") == 2 * len(found), f"{page.name}: a block that is not understood"
    return found


def commands(text: str) -> list[str]:
    """The commands of a block of ``sh``, without comments; a line may go on after a backslash."""
    lines = text.replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := line.split(" #")[0].strip())]
