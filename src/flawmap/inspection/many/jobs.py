"""What a call inspects: images given as paths, folders, URLs and lists of these."""

from __future__ import annotations

import itertools
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flawmap.data.listing.images import Paths
from flawmap.data.listing.left_out import LeftOut
from flawmap.data.urls import check_protocols, is_url, list_url
from flawmap.errors import UsageError
from flawmap.inspection.many.lists import read_list
from flawmap.inspection.sources import free_name, list_images


class Job(NamedTuple):
    """Image to inspect: its path or URL, and the base name of its output files, if there are any.

    ``inputs``: absolute paths of images to inspect that these files must not replace.
    """

    source: str
    name: str = ""
    inputs: tuple[str, ...] = ()


def list_jobs(images: Paths, lists: Sequence[str], out: Path | None) -> list[Job]:
    """List the images in the order of the call: arguments first, then those of each list.

    Output files are named only where there is a folder ``out`` for them. Raises as
    :func:`list_images`, :func:`list_url` and :func:`read_list`.
    """
    given = [images] if isinstance(images, str | bytes | os.PathLike) else list(images)
    if not given and not lists:
        raise UsageError("There is nothing to inspect: name an image or a folder.")
    taken: set[str] = set()
    jobs: list[Job] = []
    for urls, group in itertools.groupby(given, is_url):
        several = [os.fsdecode(one) for one in group]
        found = _listed(several) if urls else _local(several, out)
        jobs += _named(found, taken) if out is not None else (Job(source) for source, _ in found)
    for file in lists:
        sources = read_list(file)
        check_protocols(one for one in sources if is_url(one))
        if out is None:
            jobs += map(Job, sources)
        else:
            jobs += _named(zip(sources, _below_common(sources), strict=True), taken)
    return jobs if out is None else _guarded(jobs, out)


def _listed(urls: Iterable[str]) -> list[tuple[str, str]]:
    left_out = LeftOut()
    found = [(url, _rooted(below)[1:]) for one in urls for url, below in list_url(one, left_out)]
    left_out.report()
    if not found:
        raise UsageError("There are no images at the given URL(s). Check them.")
    return found


def _local(paths: Sequence[str], out: Path | None) -> list[tuple[str, str]]:
    """List paths; the names keep a suffix, which :func:`free_name` may need."""
    found = list_images(paths, out)
    return [(str(one.path), one.name + one.path.suffix) for one in found]


def _named(found: Iterable[tuple[str, str]], taken: set[str]) -> Iterator[Job]:
    for source, below in found:
        yield Job(source, free_name(Path(below), taken))


def _below_common(sources: Sequence[str]) -> list[str]:
    """Return each source's path below the common folder of all, for the names of output files."""
    whole = [_plain(one) for one in sources]
    common = os.path.commonprefix([posixpath.dirname(one) + "/" for one in whole])  # noqa: RUF071
    start = common.rfind("/") + 1
    return [one[start:].replace(":", "_") for one in whole]  # C: of Windows, too


def _plain(source: str) -> str:
    """Return a URL's path without query, or an absolute path with forward slashes."""
    if is_url(source):
        return _rooted(source.partition("://")[2].partition("?")[0])
    return Path(os.path.abspath(source)).as_posix()  # noqa: PTH100 - resolves no links


def _rooted(path: str) -> str:
    """Return a path below ``/``, out of which no ``..`` leads."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _guarded(jobs: Sequence[Job], out: Path) -> list[Job]:
    """Add to each job the inputs that its output files would replace."""
    inputs = {str(Path(one.source).absolute()) for one in jobs if not is_url(one.source)}
    return [
        one._replace(inputs=tuple(path for path in _written(out, one.name) if path in inputs))
        for one in jobs
    ]


def _written(out: Path, name: str) -> list[str]:
    place = str((out / name).absolute())
    return [place + ending for ending in ("_overlay.png", "_mask.png")]
