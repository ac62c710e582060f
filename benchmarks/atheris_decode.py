"""Coverage-guided fuzzing of image decoding and of the manifest parser with atheris.

atheris is not part of the dev install: ``pip install atheris``, then
``python benchmarks/atheris_decode.py decode -runs=20000`` (or ``manifest RUN``, whose manifest is
the seed). Further options are libFuzzer's. An input that raises anything but flawmap's own error
of one or two lines is kept as ``crash-*``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flawmap", "PIL"]):
    import fuzz_images

    from flawmap.data.image_io.images import read_image
    from flawmap.errors import FlawmapError
    from flawmap.inspection.bundle.manifest import MANIFEST, read_manifest


def check_message(error: FlawmapError) -> None:
    assert 1 <= len(str(error).splitlines()) <= 2, str(error)


def decode(data: bytes) -> None:
    """Decode bytes as an image of few pixels, so that many files are tried."""
    try:
        read_image(data, max_pixels=10**6)
    except FlawmapError as error:
        check_message(error)


def manifest(data: bytes) -> None:
    """Parse bytes as a manifest."""
    (PLACE / MANIFEST).write_bytes(data)
    try:
        read_manifest(PLACE)
    except FlawmapError as error:
        check_message(error)


def main() -> None:
    """Fuzz the target named first."""
    target = {"decode": decode, "manifest": manifest}[sys.argv.pop(1)]
    corpus = PLACE / "corpus"
    corpus.mkdir()
    if target is manifest:
        (corpus / "0").write_bytes((Path(sys.argv.pop(1)) / MANIFEST).read_bytes())
    else:
        for number, (_, data) in enumerate(fuzz_images.seeds()):
            (corpus / str(number)).write_bytes(data)
    atheris.Setup([*sys.argv, "-timeout=30", "-rss_limit_mb=1000", str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PLACE = Path(folder)
        main()
