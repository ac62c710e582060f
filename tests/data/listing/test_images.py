"""The one way to list images: what is found, and what is left out and told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.layouts.trees import PART, plant
from flawmap import UsageError
from flawmap.data.image_io.images import read_image
from flawmap.data.listing import beside
from flawmap.data.listing.images import Folder, as_paths
from flawmap.data.listing.names import Reason, is_listed, why_not, why_not_searched


def below(folder: Folder) -> list[str]:
    return [path.relative_to(folder.path).as_posix() for path in folder.images_below()]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.png", None),
        ("A.PNG", None),
        ("Grün 7.TIFF", None),
        ("a\nb.png", None),
        ("n" * 250 + ".png", None),
        ("mask.png", None),
        ("face_mask.png", None),
        ("._a.png", Reason.HIDDEN),
        (".tmp_a.png", Reason.HIDDEN),
        (".DS_Store", Reason.COMPANION),
        ("a.png.part", Reason.PARTIAL),
        ("a.jpg.crdownload", Reason.PARTIAL),
        ("a.tmp.png", Reason.PARTIAL),
        ("~a.png", Reason.PARTIAL),
        ("a.png~", Reason.PARTIAL),
        ("notes.txt", Reason.COMPANION),
        ("Thumbs.db", Reason.COMPANION),
        ("README", Reason.COMPANION),
        ("a.heic", Reason.ENDING),
        ("IMG_0001", Reason.ENDING),
        ("..png", Reason.COMPANION),
    ],
)
def test_names(name: str, reason: Reason | None) -> None:
    assert why_not(name) is reason
    assert is_listed(name) == (reason is None)


@pytest.mark.parametrize(
    ("names", "images"),
    [
        ("a.png a_mask.png", "a.png"),
        ("a.jpg a-GT.PNG a.label.png", "a.jpg"),
        ("a.JPG mask_a.png a_mask_1.png a_mask2.png", "a.JPG"),
        ("a.png b_mask.png", "a.png b_mask.png"),  # whose image is elsewhere: it may be a part
        ("a_overlay.png a_mask.png a_map.npy", ""),
        ("a_overlay.png a_mask.png", ""),
        ("a_mask.png a_map.npy", ""),
        ("a_overlay.png", "a_overlay.png"),
        ("a.png a_overlay.png a_mask.png a_map.npy", "a.png"),
    ],
)
def test_names_beside_others(names: str, images: str) -> None:
    there = set(names.split())
    assert {name for name in there if is_listed(name, there)} == set(images.split()) | (
        {"a_map.npy"} & there if is_listed("a_map.npy") else set()
    )


def test_folders_that_are_searched() -> None:
    reasons = [why_not_searched(name) for name in ("cam1", ".git", "@eaDir", "__MACOSX", "Masks")]
    assert reasons == [None, Reason.HIDDEN, Reason.SYSTEM, Reason.SYSTEM, Reason.MASK]


def test_what_is_left_out_is_counted_by_reason_in_a_line_each(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "a.png sub/2.png sub/10.png ._a.png sub/._b.png .thumbs/a.png .git/config "
        "@eaDir/a.png/x.jpg c.png.part a.gif b.heic c.gif notes.txt "
        "marked/a_overlay.png marked/a_mask.png",
    )
    folder = Folder(tmp_path)
    assert below(folder) == ["a.png", "sub/2.png", "sub/10.png"]
    assert folder.left_out.lines() == (
        f"3 hidden files or folders left out, such as {tmp_path / '.thumbs'}",
        f"1 folder of the operating system left out, such as {tmp_path / '@eaDir'}",
        f"1 partial or temporary file left out, such as {tmp_path / 'c.png.part'}; rename those "
        "that are whole",
        f"2 images written by flawmap left out, such as "
        f"{tmp_path / 'marked/a_mask.png'}; rename those that show a part",
        f"3 files with endings that flawmap does not read (.gif, .heic) left out, such as "
        f"{tmp_path / 'a.gif'}; save images as PNG, JPEG, BMP, TIFF or WebP",
    )


@pytest.mark.posix
def test_pipes_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    folder = Folder(tmp_path)
    assert below(folder) == ["a.png"]
    assert "1 pipe or device left out" in folder.left_out.lines()[0]


def test_a_line_stays_one_line_whatever_the_name(tmp_path: Path) -> None:
    folder = Folder(plant(tmp_path, {"._a\nb\x1b[31m.png": PART}))
    assert below(folder) == []
    (line,) = folder.left_out.lines()
    assert line.endswith(r"._a\nb\x1b[31m.png")


def test_links_are_followed_once(tmp_path: Path) -> None:
    plant(tmp_path / "elsewhere", "x.png")
    root = plant(tmp_path / "root", "b/1.png b/deep/2.png")
    (root / "a").symlink_to(root / "b", target_is_directory=True)
    (root / "c").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "d").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "b" / "up").symlink_to(root, target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(root, target_is_directory=True)
    folder = Folder(root)
    assert below(folder) == ["b/1.png", "b/deep/2.png", "c/x.png"]
    assert "links to folders that are listed already left out" in folder.left_out.lines()[-1]


def test_a_folder_that_cannot_be_listed_is_told_where_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "a.png locked/b.png")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    folder = Folder(tmp_path, lenient=True)
    assert below(folder) == ["a.png"]
    assert "1 folder that cannot be listed left out" in folder.left_out.lines()[0]


def save(path: Path, array: np.ndarray, **options: int) -> None:
    Image.fromarray(array).save(path, **options)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3)).astype(np.uint8)


def drawn() -> np.ndarray:
    found = np.zeros((16, 16), np.uint8)
    found[4:8, 4:8] = 255
    return found


def test_masks_of_their_images_name_are_known_by_content(tmp_path: Path) -> None:
    for n in range(20):
        save(tmp_path / f"{n}.jpg", noise(n))
        save(tmp_path / f"{n}.png", drawn() // 85)
    folder = Folder(tmp_path)
    assert below(folder) == [f"{n}.jpg" for n in range(20)]
    assert folder.masks[tmp_path / "3.jpg"] == (tmp_path / "3.png",)


def test_many_pairs_that_agree_speak_for_folders_to_come(tmp_path: Path, monkeypatch) -> None:
    for n in range(100):
        (tmp_path / f"{n}").mkdir()
        save(tmp_path / f"{n}/a.jpg", noise(n))
        save(tmp_path / f"{n}/a.png", drawn())
    read: list[object] = []
    monkeypatch.setattr(beside, "read_image", lambda path: read.append(path) or read_image(path))
    assert below(Folder(tmp_path)) == [f"{n}/a.jpg" for n in range(100)]
    assert len(read) == 2 * 24


def test_a_mask_may_be_a_jpeg_and_pairs_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "1.png", noise(1))
    save(tmp_path / "1.jpg", drawn(), quality=60)
    save(tmp_path / "2.png", noise(2))
    save(tmp_path / "2.jpg", noise(2))
    save(tmp_path / "3.bmp", noise(3))
    save(tmp_path / "3.png", drawn()[:8])  # of another size
    assert below(Folder(tmp_path)) == ["1.png", "2.jpg", "2.png", "3.bmp", "3.png"]


def test_a_run_is_no_folder_of_parts(tmp_path: Path) -> None:
    plant(tmp_path, "a.png run/manifest.json run/model.onnx run/region-1.png")
    folder = Folder(tmp_path)
    assert below(folder) == ["a.png"]
    assert "1 image written by flawmap" in folder.left_out.lines()[0]


@pytest.mark.slow
def test_a_hundred_thousand_names_take_seconds(tmp_path: Path) -> None:
    """Scaled down by ten: nothing grows with the square of their number."""
    for n in range(10_000):
        (tmp_path / f"part_{n}.png").touch()
    start = time.process_time()
    assert len(Folder(tmp_path).images_below()) == 10_000
    assert time.process_time() - start < 3.0


@pytest.mark.parametrize("given", ["parts", Path("parts"), b"parts", ["parts"], (Path("parts"),)])
def test_one_path_is_one_path(given) -> None:
    assert as_paths(given) == [Path("parts")]


@pytest.mark.parametrize("given", ["", [""], 7, None, [None], [np.zeros(2)]])
def test_what_is_no_path_is_refused(given) -> None:
    with pytest.raises(UsageError):
        as_paths(given)
