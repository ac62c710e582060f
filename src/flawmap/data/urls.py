"""Images behind URLs, such as ``s3://bucket/parts/1.png``, read with fsspec (extra ``cluster``)."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from flawmap.data.image_io.images import MAX_BYTES, ImageError, is_image_name
from flawmap.data.listing.left_out import LeftOut
from flawmap.data.listing.names import why_not
from flawmap.data.samples import natural_key
from flawmap.errors import FlawmapError
from flawmap.utils.extras import need
from flawmap.utils.printable import printable

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # two letters: C:/ is a drive


def is_url(text: object) -> bool:
    """Whether a text is a URL and no path.

    >>> is_url("s3://bucket/1.png"), is_url("C:/parts/1.png")
    (True, False)
    """
    return isinstance(text, str) and _URL.match(text) is not None


def check_protocols(urls: Iterable[str]) -> bool:
    """Raise FlawmapError if the package for a URL's protocol is missing; return if there are URLs.

    fsspec names the package, such as s3fs for ``s3://``.
    """
    found = {found[1] for url in urls if (found := _URL.match(url))}
    for protocol in sorted(found):
        fsspec = need("fsspec", f"Reading {protocol}://", "cluster")
        try:
            fsspec.get_filesystem_class(protocol)
        except (ImportError, ValueError) as error:
            raise FlawmapError(f"Cannot read {protocol}:// URLs: {_reason(error)}") from error
    return bool(found)


def read_url(url: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Read the whole content behind a URL; raise ImageError if it cannot be read or is too large.

    Credentials and endpoints are those of the file system's package, and of fsspec's settings.
    """
    fsspec = need("fsspec", "Reading a URL", "cluster")
    try:
        with fsspec.open(url, "rb") as file:
            data = cast(bytes, file.read(max_bytes + 1))
    except Exception as error:  # each file system has errors of its own
        raise ImageError(
            f"{printable(url)}: cannot be read ({_reason(error)}); check the URL and your access"
        ) from error
    if len(data) > max_bytes:
        raise ImageError(f"{printable(url)}: more than {max_bytes >> 20:,} MiB; give an image file")
    return data


def list_url(url: str, left_out: LeftOut) -> list[tuple[str, str]]:
    """List the images at a URL and below as (URL, path below it), in natural order.

    Masks and files that are no images are skipped by their names and counted in ``left_out``. A
    URL that ends like an image is that image. Raises FlawmapError if it cannot be listed.
    """
    check_protocols([url])
    if is_image_name(url.partition("?")[0]):
        return [(url, posixpath.basename(url.partition("?")[0]))]
    fsspec = need("fsspec", "Listing a URL", "cluster")
    try:
        system, root = fsspec.core.url_to_fs(url)
        names = system.find(root)
    except Exception as error:
        raise FlawmapError(
            f"Cannot list {printable(url)} ({_reason(error)}): check the URL and your access, or "
            "name its images in a file: --list FILE"
        ) from error
    relative = [name[len(root) :].lstrip("/") for name in names]
    return [(url.rstrip("/") + "/" + one, one) for one in _images(relative, left_out)]


def _images(names: Iterable[str], left_out: LeftOut) -> list[str]:
    there: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        folder, base = posixpath.split(name)
        there[folder].add(base)
    found = []
    for folder in sorted(there, key=lambda one: (one != "", natural_key(one))):
        for base in sorted(there[folder], key=natural_key):
            reason = why_not(base, there[folder])
            if reason is None:
                found.append(posixpath.join(folder, base))
            else:
                left_out.add(reason, Path(folder) / base)
    return found


def _reason(error: BaseException) -> str:
    text: Any = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(str(text).split())[:160] or type(error).__name__
