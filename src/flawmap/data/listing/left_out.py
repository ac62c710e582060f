"""Files and folders that a listing leaves out: counted by reason, reported in one line each."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flawmap.data.listing.names import Reason
from flawmap.data.samples import plural
from flawmap.utils.printable import printable

_LOG = logging.getLogger("flawmap")
_MOST = 6  # endings named
_ADVICE = {
    Reason.PARTIAL: "; rename those that are whole",
    Reason.MASK: "; rename those that show a part",
    Reason.CONTRARY: "; move them to where they belong",
    Reason.NAMED: "; put good parts in good/, the others in defective/",
    Reason.OWN: "; rename those that show a part",
    Reason.ENDING: "; save images as PNG, JPEG, BMP, TIFF or WebP",
    Reason.UNLISTED: "; check permissions",
}


@dataclass
class LeftOut:
    """Counts of what was left out, with the first example of each reason."""

    counts: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, Path] = field(default_factory=dict)
    endings: Counter[str] = field(default_factory=Counter)
    _counted: set[Path] = field(default_factory=set)

    def add(self, reason: Reason, path: Path, count: int = 1) -> None:
        """Count a file or folder as ``count`` files, once however often it occurs."""
        if reason is Reason.COMPANION or not count or path in self._counted:
            return
        self._counted.add(path)
        self.counts[reason] += count
        self.examples.setdefault(reason, path)
        if reason is Reason.ENDING:
            self.endings[path.suffix.lower() or "none"] += 1

    def report(self) -> None:
        """Write the lines to the log "flawmap": standard error, unless configured otherwise."""
        for line in self.lines():
            _LOG.warning("%s", line)

    def lines(self) -> tuple[str, ...]:
        """Return one line per reason."""
        return tuple(self._line(reason) for reason in Reason if self.counts[reason])

    def _line(self, reason: Reason) -> str:
        what = plural(self.counts[reason], reason.value)
        if reason is Reason.ENDING:
            named = [ending for ending, _ in self.endings.most_common(_MOST)]
            what += f" ({', '.join(named)}{', ...' * (len(self.endings) > _MOST)})"
        example = printable(self.examples[reason])
        return f"{what} left out, such as {example}{_ADVICE.get(reason, '')}"
