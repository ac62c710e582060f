"""Which decoder of JPEG files thresholds were set with, and whether this one gives its pixels."""

from __future__ import annotations

import logging
from pathlib import Path

from flawmap.data.image_io.fast import jpeg_decoder, jpeg_digest
from flawmap.inspection.bundle.manifest import Decoder, Manifest

_log = logging.getLogger("flawmap")


def decoder_here() -> Decoder:
    """Return the decoder of this installation. Lossless formats are the same in all."""
    return Decoder(jpeg=jpeg_decoder(), jpeg_sha256=jpeg_digest())


def warn_if_decoder_differs(folder: Path, manifest: Manifest) -> None:
    """Warn if JPEG files are decoded to other pixels here than for the run's thresholds."""
    calibrated = manifest.decoder
    if calibrated is not None and calibrated.jpeg_sha256 != jpeg_digest():
        _log.warning(
            "The thresholds of %s were set on JPEG files as %s decodes them, and %s gives slightly "
            "other pixels. Install the same decoder, or calibrate here: flawmap calibrate %s "
            "GOOD_IMAGES",
            folder, calibrated.jpeg, jpeg_decoder(), folder,
        )  # fmt: skip
