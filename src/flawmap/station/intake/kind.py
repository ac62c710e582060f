"""File extension of an image by its content; a sender's file name is never used."""

from __future__ import annotations

_SUFFIXES = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"II+\0", ".tif"),
    (b"MM\0+", ".tif"),
)


def suffix_of(data: bytes) -> str:
    """Return the extension of an image's file, empty for what is none.

    >>> suffix_of(b"\\xff\\xd8\\xff\\xe0"), suffix_of(b"<svg>")
    ('.jpg', '')
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in _SUFFIXES if data.startswith(start)), "")
