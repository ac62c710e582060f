"""Which images an export learns from, is measured on, and gets its thresholds from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from exporting.conftest import HELD_OUT, LEARNED
from flawmap import FlawmapError
from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.resize import Framing
from flawmap.exporting.images import good_images
from flawmap.inspection.bundle.manifest import Preprocessing
from flawmap.utils.files import digest
from methods.tiny import SIZE
from training.tiny import tiny_images

pytestmark = pytest.mark.slow  # trains the striped inspector


def found_by(striped, *images, **changes):
    manifest = striped.manifest.model_copy(update=changes)
    return good_images(striped.run, manifest, images)


def moved(striped, folder):
    """The run's manifest, as if its data were in another place."""
    return striped.manifest.training.model_copy(update={"folder": str(folder)})


def test_ranges_come_from_images_trained_on_and_thresholds_from_those_that_calibrate(striped):
    found = found_by(striped)
    pictures = tiny_images(LEARNED + HELD_OUT)
    assert np.array_equal(found.range_images(), pictures[:LEARNED])
    assert np.array_equal(found.sample_tiles, pictures[LEARNED:])
    assert found.calibrating.stored == striped.manifest.calibration.scores
    assert tuple(found.calibrating.sha256.values()) == striped.manifest.calibration.images
    for path, sha256 in found.calibrating.sha256.items():
        assert digest(path) == sha256


def test_images_that_moved_are_found_where_they_are_said_to_be(striped, tmp_path):
    """By content: their names changed, and others lie beside them."""
    data = Path(striped.manifest.training.folder)
    held = [data / "good" / f"{index:02}.png" for index in range(LEARNED, LEARNED + HELD_OUT)]
    (place := tmp_path / "elsewhere").mkdir()
    for index, path in enumerate(held):
        shutil.copy(path, place / f"part {HELD_OUT - index}.png")
    write_png(place / "another.png", np.zeros((*SIZE, 3), np.uint8))
    gone = {"training": moved(striped, tmp_path / "gone")}
    found = found_by(striped, place, **gone)
    assert set(found.calibrating.sha256.values()) == set(striped.manifest.calibration.images)
    assert found.range_images() is None
    places = striped.manifest.calibration.model_copy(update={"places": (str(place),)})
    assert found_by(striped, **gone, calibration=places).calibrating == (
        type(found.calibrating)(
            found.calibrating.sha256, striped.manifest.calibration.scores, (str(place),)
        )
    )
    (place / "part 3.png").unlink()
    found = found_by(striped, place, **gone)
    assert found.calibrating is None
    assert f"7 of the 8 images that calibrate it were found in {place}, " in found.why_not
    assert (
        f"with --images, or calibrate on others: flawmap calibrate {striped.run}" in found.why_not
    )


def test_no_image_at_all(striped, tmp_path):
    with pytest.raises(FlawmapError, match=r"gone has none: give others with --images"):
        found_by(striped, training=moved(striped, tmp_path / "gone"))


def test_of_a_run_by_folds_images_that_it_has_not_seen_set_thresholds(striped, tmp_path):
    calibration = striped.manifest.calibration.model_copy(update={"folds": 2})
    every = striped.manifest.training.trained_on + calibration.images
    training = striped.manifest.training.model_copy(update={"trained_on": every})
    folds = {"calibration": calibration, "training": training}
    found = found_by(striped, **folds)
    assert found.calibrating is None
    assert "was calibrated by folds and trained on all of those images" in found.why_not
    assert len(found.sample) == LEARNED + HELD_OUT, "enough to compare in float32"
    (place := tmp_path / "others").mkdir()
    write_png(place / "a.png", np.full((*SIZE, 3), 80, np.uint8))
    shutil.copy(Path(training.folder) / "good" / "00.png", place)
    found = found_by(striped, place, **folds)
    assert found.calibrating.sha256 == {place / "a.png": digest(place / "a.png")}
    assert (found.calibrating.stored, found.calibrating.places) == (None, (str(place),))
    (place / "a.png").unlink()
    with pytest.raises(FlawmapError, match="No good image is left"):
        found_by(striped, place, **folds)


def test_test_images_are_never_looked_at(striped, tmp_path):
    data = tmp_path / "product"
    shutil.copytree(Path(striped.manifest.training.folder) / "good", data / "train" / "good")
    (data / "test" / "good").mkdir(parents=True)
    (data / "test" / "bad").mkdir()
    (data / "test" / "good" / "no.png").write_bytes(b"never read")
    (data / "test" / "bad" / "no.png").write_bytes(b"never read")
    training = moved(striped, data).model_copy(update={"layout": "mvtec"})
    assert len(found_by(striped, training=training).sample_tiles) == HELD_OUT


def test_of_tiled_images_it_takes_windows_and_compares_the_whole(striped, tmp_path):
    (folder := tmp_path / "large" / "good").mkdir(parents=True)
    whole = [np.tile(one, (2, 3, 1))[:100, :150] for one in striped.held_out[:3]]
    for index, image in enumerate(whole):
        write_png(folder / f"{index}.png", image)
    size = Preprocessing(size=SIZE, fit="tiles", overlap=16)
    calibration = striped.manifest.calibration.model_copy(
        update={"images": tuple(digest(path) for path in sorted(folder.iterdir()))}
    )
    scores = {"scores": calibration.scores[:3], "peaks": calibration.peaks[:3]}
    calibration = calibration.model_copy(update=scores)
    found = found_by(striped, folder.parent, preprocessing=size, calibration=calibration)
    assert found.sample_tiles.shape == (3, *SIZE, 3)
    padded = list(found.padded(found.sample))
    assert [image.image_size for image in padded] == [(100, 150)] * 3
    for window, path in zip(found.sample_tiles, found.sample, strict=True):
        image = Framing(SIZE, "tiles", 16).preprocess(read_image(path))
        windows = [image.tile(index) for index in range(image.layout.count)]
        assert any(np.array_equal(window, one) for one in windows)
