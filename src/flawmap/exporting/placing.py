"""Where an export's files lie in a run, such that a killed export leaves a run that works.

New files never replace files that the manifest names: where their names are taken they get others.
Then the manifest is written, and with it goes what it no longer names.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from flawmap.inspection.bundle.graphs import file_digest
from flawmap.inspection.bundle.leftovers import UNFINISHED
from flawmap.inspection.bundle.manifest import EXPORTS, Manifest
from flawmap.utils.files import make_folder


@contextlib.contextmanager
def workplace(run: Path) -> Iterator[Path]:
    """A folder in the run for files in the making, gone after the block."""
    with tempfile.TemporaryDirectory(dir=run, prefix=UNFINISHED) as place:
        yield Path(place)


def keep(made: Sequence[Path], run: Path, manifest: Manifest, to: str) -> dict[str, str]:
    """Move what was made to its place in the run; returns digests by name.

    Names are those of the files, with a part of their digest where the manifest gives one of the
    names to other content.
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
    """Digest by name of the files of all exports."""
    files: dict[str, str] = {}
    for export in manifest.exports.values():
        files |= export.files
    return files


def _marked(name: str, mark: str) -> str:
    """The name with a mark before its endings.

    >>> _marked("model.int8.onnx", "0a")
    'model-0a.int8.onnx'
    """
    stem, endings = name.split(".", 1)
    return f"{stem}-{mark}.{endings}"
