"""Provenance of a result: command, date, commit, versions, hardware."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Any

from flawmap.utils.hardware import hardware, versions

_CHECKOUT = Path(__file__).resolve().parents[3]


def commit() -> str | None:
    """Commit of flawmap's checkout, marked if ``src`` has changes; None if there is no checkout."""
    if not (_CHECKOUT / ".git").exists():
        return None
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return f"{head}+changes" if changed else head or None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=_CHECKOUT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()


def provenance(command: str) -> dict[str, Any]:
    """Fields that every result file has besides its metrics."""
    return {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(),
    }
