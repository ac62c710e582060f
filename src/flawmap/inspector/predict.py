"""``flawmap predict``: overlays, masks, raw maps and verdicts of one's own images."""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack

from flawmap.backends.base import RuntimeOptions
from flawmap.datasets.base import natural_key
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import make_folder, replacing, write_bytes
from flawmap.images import is_image_name, write_png
from flawmap.inspector.inspector import Inspector
from flawmap.inspector.pipeline import Inspected, inspect_files

_WRITERS = 2
_WRITING = 8  # images waiting to be written at any time
_OPACITY = 0.7
_NOT_PHOTOGRAPHS = {"ground_truth", "mask", "masks"}  # folders of datasets


@dataclass(frozen=True)
class Prediction:
    """One line of ``predict --json``."""

    line: dict[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the image could not be inspected."""
        return "error" in self.line


def predict(
    run: str | os.PathLike[str],
    images: Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    json_file: str | os.PathLike[str] | None = None,
    show: Callable[[Prediction, int], None] = lambda prediction, total: None,
    **runtime: Unpack[RuntimeOptions],
) -> list[dict[str, Any]]:
    """Inspect files and folders of images; returns one dict an image, in input order.

    Folders are searched with all below them, but for ground truth and ``out`` itself.
    ``out``: folder for ``NAME_overlay.png``, ``NAME_mask.png`` (both of the photograph's size)
    and ``NAME_map.npy`` (float32, working size). ``json_file``: JSON lines, ``-`` for standard
    output. ``runtime``: as for :meth:`Inspector.load`. Raises FlawmapError where there is nothing
    to inspect.
    """
    inspector = Inspector.load(run, **runtime)
    targets = list_images([Path(p) for p in images], out=None if out is None else Path(out))
    folder = make_folder(Path(out)) if out is not None else None
    lines: list[dict[str, Any]] = []
    with _json_lines(json_file) as write, ThreadPoolExecutor(_WRITERS, "flawmap-write") as pool:
        writing: deque[Future[None]] = deque()
        results = inspect_files(inspector, [target.path for target in targets])
        for target, result in zip(targets, results, strict=True):
            if folder is not None and result.inspection is not None:
                place = folder / target.name
                writing.append(pool.submit(_write_pictures, place, result, inspector))
                while len(writing) > _WRITING:
                    writing.popleft().result()
            lines.append(_line(result))
            write(lines[-1])
            show(Prediction(lines[-1]), len(targets))
        for future in writing:
            future.result()
    return lines


@dataclass(frozen=True)
class Target:
    """An image to inspect, and what its output files are called (may hold folders)."""

    path: Path
    name: str


def list_images(inputs: Sequence[Path], out: Path | None = None) -> list[Target]:
    """Images named and images in the folders named, in order, each with a name of its own.

    Folders of ground truth below the named ones are passed over, and so is ``out``. Raises
    UsageError for a path that is not there or is ``out``, FlawmapError where a folder holds no
    image.
    """
    written = None if out is None else out.resolve()
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        if given.is_dir():
            if given.resolve() == written:
                raise UsageError(f"{given} is inspected: give another folder as --out.")
            inside = list(_walk(given, written))
            if not inside:
                raise FlawmapError(f"No images in {given} (PNG, JPEG, BMP, TIFF or WebP).")
            found += [(path, path.relative_to(given)) for path in inside]
        elif given.exists():
            found.append((given, Path(given.name)))
        else:
            raise UsageError(f"No such image or folder: {given}")
    if not found:
        raise UsageError("Nothing to inspect: name an image or a folder.")
    return [Target(path, name) for (path, _), name in zip(found, _names(found), strict=True)]


def _walk(folder: Path, written: Path | None) -> Iterator[Path]:
    """Images below a folder in natural order, each folder's own before those of its folders."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            (f for f in folders if _is_searched(here / f, written)), key=natural_key
        )
        yield from (here / name for name in sorted(files, key=natural_key) if is_image_name(name))


def _is_searched(folder: Path, written: Path | None) -> bool:
    """Neither hidden nor ground truth nor where this very call writes."""
    hidden = folder.name.startswith(".")
    return (
        not hidden and folder.name.lower() not in _NOT_PHOTOGRAPHS and folder.resolve() != written
    )


def _names(found: Iterable[tuple[Path, Path]]) -> Iterator[str]:
    """Stem of each image, with its ending or a number where another has taken the stem."""
    taken: set[str] = set()
    for _, relative in found:
        stem = str(relative.with_suffix(""))
        numbered = (f"{stem}_{n}" for n in itertools.count(2))
        tries = itertools.chain([stem, f"{stem}_{relative.suffix.lstrip('.')}"], numbered)
        name = next(t for t in tries if t.lower() not in taken)
        taken.add(name.lower())
        yield name


def _line(result: Inspected) -> dict[str, Any]:
    if result.inspection is None:
        return {"path": str(result.path), "error": result.error}
    seen = result.inspection
    return {
        "path": str(result.path),
        "score": seen.score,
        "p_value": seen.p_value,
        "verdict": seen.verdict,
        "defects": [asdict(defect) | {"box": list(defect.box)} for defect in seen.defects],
        "milliseconds": round(seen.milliseconds, 3),
    }


def _write_pictures(place: Path, result: Inspected, inspector: Inspector) -> None:
    """Overlay, mask and raw map of one image."""
    from flawmap.report.colour import PREDICTED, outline, overlay

    assert result.image is not None
    assert result.inspection is not None
    make_folder(place.parent)
    size = (result.image.shape[0], result.image.shape[1])
    threshold = inspector.manifest.calibration.pixel.value
    anomaly_map = resize_map(result.inspection.anomaly_map, size)
    mask = (anomaly_map > threshold).astype(np.uint8)
    heat = overlay(result.image, anomaly_map, threshold, opacity=_OPACITY)
    write_png(_beside(place, "_overlay.png"), outline(heat, mask, PREDICTED))
    write_png(_beside(place, "_mask.png"), mask * np.uint8(255))
    buffer = io.BytesIO()
    np.save(buffer, result.inspection.anomaly_map)
    write_bytes(_beside(place, "_map.npy"), buffer.getvalue())


def resize_map(anomaly_map: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Anomaly map at another size (height, width), bilinear."""
    from PIL import Image

    if anomaly_map.shape == size:
        return anomaly_map
    picture = Image.fromarray(np.ascontiguousarray(anomaly_map))
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(place.name + ending)


@contextmanager
def _json_lines(
    target: str | os.PathLike[str] | None,
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one JSON line: to a file (whole or not at all), or to ``-``."""
    if target is None:
        yield lambda line: None
    elif str(target) == "-":
        yield lambda line: _print_line(sys.stdout, line)
    else:
        make_folder(Path(target).parent)
        with replacing(Path(target)) as temporary, temporary.open("w", encoding="utf-8") as file:
            yield lambda line: _print_line(file, line)


def _print_line(file: IO[str], line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()
