"""Images behind URLs, read with fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError
from flawmap.data.image_io.images import ImageError, encode_png
from flawmap.data.listing.left_out import LeftOut
from flawmap.data.urls import check_protocols, is_url, list_url, read_url

fsspec = pytest.importorskip("fsspec", reason="URLs need fsspec (extra cluster)")
NAMES = ("10.png", "9.png", "9_mask.png", "b/2.PNG", "notes.txt", ".hidden.png")


@pytest.fixture
def bucket() -> Iterator[str]:
    """A folder in memory of three images, a mask and other files."""
    system = fsspec.filesystem("memory")
    rng = np.random.default_rng(2)
    for name in NAMES:
        data = encode_png(rng.integers(0, 256, (70, 80, 3), np.uint8))
        system.pipe(f"/bucket/{name}", data)
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def test_a_url_is_listed_as_a_folder_is(bucket: str) -> None:
    left_out = LeftOut()
    expected = [(f"{bucket}/{name}", name) for name in ("9.png", "10.png", "b/2.PNG")]
    assert list_url(bucket, left_out) == list_url(f"{bucket}/", left_out) == expected
    assert sum(left_out.counts.values()) == 2
    assert list_url(f"{bucket}/9.png?v=1", left_out) == [(f"{bucket}/9.png?v=1", "9.png")]


def test_images_behind_urls_are_inspected_and_bad_ones_get_errors(
    run_copy: Path, bucket: str, tmp_path: Path
) -> None:
    system = fsspec.filesystem("memory")
    (copy := tmp_path / "copy").mkdir()
    (copy / "9.png").write_bytes(system.cat("/bucket/9.png"))
    out = tmp_path / "out"
    given = [bucket, f"{bucket}/none.png", copy / "9.png"]
    found = flawmap.predict(run_copy, given, out=out)
    names = ("9.png", "10.png", "b/2.PNG", "none.png")
    assert [x.path for x in found] == [*(f"{bucket}/{n}" for n in names), str(copy / "9.png")]
    assert [x.failed for x in found] == [False, False, False, True, False]
    assert (found[0].score, found[0].image) == (found[4].score, found[4].image)
    assert found[3].error is not None
    assert found[3].error.startswith(f"{bucket}/none.png: cannot be read (")
    overlays = sorted(path.relative_to(out).as_posix() for path in out.rglob("*_overlay.png"))
    assert overlays == [f"{n}_overlay.png" for n in ("10", "9", "9_png", "b/2")]


def test_what_cannot_be_listed_or_read_says_why(run_copy: Path) -> None:
    with pytest.raises(FlawmapError, match="Cannot read nothing:// URLs: Protocol not known"):
        check_protocols(["nothing://a/1.png"])
    with pytest.raises(FlawmapError, match="There are no images at the given URL"):
        flawmap.predict(run_copy, ["memory://empty"])
    fsspec.filesystem("memory").pipe("/large.png", b"12345")
    with pytest.raises(ImageError, match="more than 0 MiB"):
        read_url("memory://large.png", 4)


@pytest.mark.parametrize("text", ["a.png", "/a/b.png", "C:/a.png", "c:\\a.png", "a:b", "://a"])
def test_paths_are_no_urls(text: str) -> None:
    assert not is_url(text)
    assert not is_url(Path(text))
