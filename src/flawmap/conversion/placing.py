"""Where an export's files lie in a run, such that a killed export leaves a run that works.

New files never replace files that the manifest names: where their names are taken they get others.
Then the manifest is written, and at last what it no longer names is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from flawmap.files import make_folder
from flawmap.inspector.graphs import file_digest
from flawmap.inspector.manifest import EXPORTS, Manifest

_PREFIX = ".export-"
_UNFINISHED = re.compile(r"\.export-[a-z0-9_]{8}")  # as tempfile names them
_OURS = re.compile(r"model(-[0-9a-f]{12})?(\.int8)?\.(onnx|xml|bin)")


@contextlib.contextmanager
def workplace(run: Path) -> Iterator[Path]:
    """A folder in the run for files in the making, gone after the block.

    Those of exports that were killed go first; the caller holds the run's lock, so none is in use.
    """
    for path in run.iterdir():
        if path.is_dir() and _UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=run, prefix=_PREFIX) as place:
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


def remove_unnamed(run: Path, manifest: Manifest, to: str) -> None:
    """Remove files of former exports for a runtime that the manifest does not name."""
    named = _named(manifest)
    folder = run / EXPORTS / to
    for path in folder.iterdir() if folder.is_dir() else ():
        if _OURS.fullmatch(path.name) and f"{EXPORTS}/{to}/{path.name}" not in named:
            with contextlib.suppress(OSError):
                path.unlink()


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
