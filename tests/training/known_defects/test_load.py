"""Loading of known defects: masks at working size, and everything that cannot be learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawmap.data.image_io.images import write_png
from flawmap.data.resize import Framing
from flawmap.data.samples import Sample
from flawmap.errors import FlawmapError
from flawmap.training.known_defects.load import KnownDefects, load_known, split
from flawmap.utils.files import digest

SQUASHED = Framing((32, 32))


class Parts:
    """Writes defective images of 64x48 and their masks into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples: list[Sample] = []

    def add(
        self,
        name: str,
        place: tuple[slice, slice] | None = (slice(8, 24), slice(12, 36)),
        kind: str | None = "dent",
        size: tuple[int, int] = (64, 48),
    ) -> Sample:
        rng = np.random.default_rng(list(name.encode()))
        path = self.folder / name
        write_png(path, rng.integers(0, 256, (64, 48, 3), np.uint8))
        mask = None
        if place is not None:
            drawn = np.zeros(size, np.uint8)
            drawn[place] = 255
            mask = self.folder / f"mask of {name}"
            write_png(mask, drawn)
        self.samples.append(Sample(path, "defective", kind, mask))
        return self.samples[-1]

    def load(self, framing: Framing = SQUASHED, good: tuple[str, ...] = ()) -> KnownDefects:
        return load_known(self.samples, framing, good)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def test_images_and_masks_at_working_size(parts: Parts):
    parts.add("10.png", kind="scratch")
    parts.add("9.png")
    parts.add("11.png", None, kind=None)
    known = parts.load()
    assert known.images.shape == (3, 32, 32, 3)
    assert known.files == tuple(digest(parts.folder / n) for n in ("9.png", "10.png", "11.png"))
    assert known.names == ("defect", "dent", "scratch")
    assert known.counts == {"defect": 1, "dent": 1, "scratch": 1}
    assert known.types.tolist() == [1, 2, 0]
    assert known.masked.tolist() == [True, True, False]
    expected = np.zeros((32, 32), np.uint8)
    expected[4:12, 8:24] = 1
    assert (known.masks[0] == expected).all()
    assert known.centres[0] == pytest.approx([0.25, 0.5])
    assert known.pieces.tolist() == [0, 1]
    assert (known.piece_masks == known.masks[:2]).all()
    assert known.bare == 1
    assert known.describe().startswith("Known defects: 3 images of 3 types (defect, dent, scratch)")
    assert "1 without mask" in known.describe()
    assert known.notes == ()


def test_the_digest_follows_pixels_masks_and_types(parts: Parts):
    one = parts.add("1.png")
    first = parts.load().digest
    assert parts.load().digest == first
    parts.samples[0] = Sample(one.path, "defective", "other", one.mask)
    parts.add("2.png")
    assert parts.load().digest != first


def test_a_thin_mask_does_not_vanish(parts: Parts):
    parts.add("thin.png", (slice(10, 60), slice(20, 21)))
    framed = parts.load(Framing((8, 8))).masks[0]
    assert framed.sum() >= 6
    assert {*np.nonzero(framed)[1]} == {3}


def test_a_letterboxed_mask_lies_on_its_image(parts: Parts):
    parts.add("1.png")
    (mask,) = parts.load(Framing((32, 32), "letterbox")).masks
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 11, 10, 21)


def test_tiles_that_show_no_defect_are_not_shown(parts: Parts):
    parts.add("1.png", (slice(2, 10), slice(2, 10)))
    known = parts.load(Framing((32, 32), "tiles"))
    assert known.images.shape == (1, 32, 32, 3)
    assert known.masks[0, 2:10, 2:10].all()
    assert known.masks.sum() == 64
    parts.add("2.png", None)
    known = parts.load(Framing((32, 32), "tiles"))
    assert len(known.files) == 1
    assert "without mask, which tiles need" in known.notes[0]


def test_a_16_bit_image_is_scaled_by_the_white_level(parts: Parts):
    sample = parts.add("deep.png")
    deep = Image.fromarray(np.full((64, 48), 1000, np.uint16))
    deep.save(sample.path)
    (found,) = parts.load(Framing((32, 32), white_level=2000)).images
    assert abs(int(found.mean()) - 127) <= 1
    assert parts.load(Framing((32, 32), white_level=2000)).masks.sum() == 8 * 16


def refused(parts: Parts, good: tuple[str, ...] = ()) -> str:
    """What is said of the only defect that is left out, beside one that can be learned from."""
    with pytest.raises(FlawmapError, match="No defective image to learn from is left") as error:
        parts.load(good=good)
    parts.add("fine.png")
    known = parts.load(good=good)
    assert len(known.files) == 1
    (note,) = known.notes
    assert note in str(error.value)
    assert note.startswith("1 defective image left out")
    return note


def test_a_defect_that_is_also_among_the_good(parts: Parts):
    sample = parts.add("1.png")
    assert "one of the two labels is wrong" in refused(parts, (digest(sample.path),))


def test_a_mask_of_another_size(parts: Parts):
    parts.add("1.png", size=(48, 64))
    note = refused(parts)
    assert "64" in note
    assert "48" in note


def test_a_mask_that_marks_nothing(parts: Parts):
    parts.add("1.png", (slice(0, 0), slice(0, 0)))
    assert "whose mask marks nothing" in refused(parts)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_cannot_be_read(parts: Parts, content: bytes | None):
    sample = parts.add("1.png")
    sample.path.unlink() if content is None else sample.path.write_bytes(content)
    assert "that cannot be used" in refused(parts)


def test_a_mask_that_cannot_be_read(parts: Parts):
    sample = parts.add("1.png")
    assert isinstance(sample.mask, Path)
    sample.mask.write_bytes(b"no mask")
    assert "that cannot be used" in refused(parts)


def test_of_equal_files_one_is_used(parts: Parts):
    first, second = parts.add("1.png"), parts.add("2.png")
    second.path.write_bytes(first.path.read_bytes())
    known = parts.load()
    assert len(known.files) == len(known.images) == 1
    assert "with the same content as another" in known.notes[0]


def test_no_more_than_three_files_are_named(parts: Parts):
    for index in range(5):
        parts.add(f"{index}.png", (slice(0, 0), slice(0, 0)))
    parts.add("fine.png")
    (note,) = parts.load().notes
    assert note.startswith("5 defective images left out")
    assert note.count(".png") == 3
    assert note.endswith(", ....")


def test_masks_are_split_into_pieces_that_lie_apart():
    mask = np.zeros((40, 40), np.uint8)
    mask[2:6, 2:6] = 1
    mask[2:6, 9:11] = 1  # three pixels away: the same piece
    mask[20:30, 20:30] = 1
    large, small = split(mask)
    assert (large.sum(), small.sum()) == (100, 24)
    assert (large + small == mask).all()
    assert split(np.zeros((8, 8), np.uint8)) == []
    dust = np.zeros((80, 80), np.uint8)
    dust[4::10, 4::10] = 1
    assert len(split(dust)) == 16


def test_without_any_mask_there_are_no_pieces(parts: Parts):
    parts.add("1.png", None)
    known = parts.load()
    assert known.pieces.shape == (0,)
    assert known.piece_masks.shape == (0, 32, 32)
    assert known.centres.shape == (0, 2)
