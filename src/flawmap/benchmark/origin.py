"""Teacher and data that a result was measured with, identified by content.

A result file may be read on another machine, so it holds digests and no paths.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from flawmap.benchmark.grid import split_teacher
from flawmap.data.listing.images import Folder
from flawmap.utils.files import digest, foreign

_MOST_BYTES = 2**40  # of a file of weights or data


def origin_of(data: Path, teacher: str) -> dict[str, str]:
    """Return what identifies a teacher and a data folder, as stored in result files.

    ``teacher``: its name, with the SHA-256 in place of a weights file. ``data``: SHA-256 of the
    names and contents of all files, hidden ones excluded. Raises FlawmapError if one is unreadable.
    """
    name, file = split_teacher(teacher)
    if file and Path(file).is_file():
        file = digest(Path(file), _MOST_BYTES)
    return {"teacher": name + file, "data": _digest_of_folder(data)}


def _digest_of_folder(data: Path) -> str:
    sha256 = hashlib.sha256()
    for folder in Folder(data, by_name=True).all_below():
        for name in foreign(folder.path):
            path = folder.path / name
            if path.is_file() and not name.startswith("."):
                place = path.relative_to(data).as_posix()
                line = f"{place}\0{digest(path, _MOST_BYTES)}\n"
                sha256.update(line.encode(errors="surrogatepass"))
    return sha256.hexdigest()
