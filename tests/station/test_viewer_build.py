"""The built image viewer belongs to the sources in tools/viewer; checked without node."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import flawmap

SOURCES = Path(__file__).parents[2] / "tools" / "viewer"
BUILT = Path(flawmap.__file__).parent / "station" / "web" / "static" / "viewer.js"
FILES = ("package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
MOST = 20_000  # bytes


def test_the_built_viewer_belongs_to_its_sources() -> None:
    first, body = BUILT.read_bytes().split(b"\n", 1)
    stamp = re.search(r"sources ([0-9a-f]{64}) built ([0-9a-f]{64})", first.decode())
    assert stamp is not None
    assert stamp[1] == _sources_digest(), "the sources changed: run `make web`"
    assert stamp[2] == hashlib.sha256(body).hexdigest(), "viewer.js was edited: run `make web`"


def test_the_built_viewer_is_small_and_needs_no_eval() -> None:
    text = BUILT.read_text(encoding="utf-8")
    assert len(text.encode()) <= MOST
    assert not re.search(r"\beval\(|new Function|setAttribute\(.style", text)


def _sources_digest() -> str:
    names = sorted([*FILES, *(f"src/{path.name}" for path in (SOURCES / "src").iterdir())])
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\0" + (SOURCES / name).read_bytes() + b"\0")
    return digest.hexdigest()
