"""Place an export's files in a run such that a killed export leaves a working run.

New files never replace files that the manifest names: if a name is taken, they get another one.
Then the manifest is written, and files that it no longer names are deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from flawmap.inspection.bundle.leftovers import UNFINISHED
from flawmap.inspection.bundle.manifest import EXPORTS, Manifest
from flawmap.inspection.bundle.models import file_digest
from flawmap.utils.files import make_folder


@contextlib.contextmanager
def workplace(run: Path) -> Iterator[Path]:
    """Create a temporary folder in the run for unfinished files; it is deleted after the block."""
    with tempfile.TemporaryDirectory(dir=run, prefix=UNFINISHED) as place:
        yield Path(place)


def keep(made: Sequence[Path], run: Path, manifest: Manifest, to: str) -> dict[str, str]:
    """Move the files ``made`` to their place in the run; return their SHA-256 by name.

    The file names are kept; if the manifest uses one of them for other content, part of a digest
    is added to all of them.
    """
    if not made:
        return {}
    make_folder(run / EXPORTS / to)
    digests = [file_digest(path.parent, path.name) for path in made]
    names = [f"{EXPORTS}/{to}/{path.name}" for path in made]
    taken = _named(manifest)
    if any(taken.get(name, sha256) != sha256 for name, sha256 in zip(names, digests, strict=True)):
        mark = hashlib.sha256("".join(digests).encode()).hexdigest()[:12]
        names = [f"{EXPORTS}/{to}/{_marked(path.name, mark)}" for path in made]
    for path, name in zip(made, names, strict=True):
        path.replace(run / name)
    return dict(zip(names, digests, strict=True))


def _named(manifest: Manifest) -> dict[str, str]:
    """Return the digests of the files of all exports, by name."""
    files: dict[str, str] = {}
    for export in manifest.exports.values():
        files |= export.files
    return files


def _marked(name: str, mark: str) -> str:
    """Insert a mark before the extensions of a file name.

    >>> _marked("model.int8.onnx", "0a")
    'model-0a.int8.onnx'
    """
    stem, endings = name.split(".", 1)
    return f"{stem}-{mark}.{endings}"
