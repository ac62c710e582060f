"""Learning from tiles of photographs, from loading to a run's end."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.data.image_io.images import read_image
from flawmap.data.layouts import open_dataset
from flawmap.data.listing.images import list_images
from flawmap.data.resize import Framing
from flawmap.data.samples import Dataset, good_samples
from flawmap.data.store import load_images
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.training.good_images.load import GoodImages, load_good_images
from flawmap.training.steps.checkpoint import newest_checkpoint
from flawmap.training.steps.loop import Loop, Reporter
from methods.tiny import SIZE
from training.tiny import stop_after, tiny_loop, weights

FRAMING = Framing(SIZE, "tiles", 16)


@pytest.fixture
def good(tmp_path: Path) -> GoodImages:
    """Eight photographs of several sizes, each of a grey of its own and some noise."""
    rng = np.random.default_rng(0)
    (folder := tmp_path / "data").mkdir()
    for number in range(8):
        grey = rng.normal(30 * number + 20, 4, (70 + 20 * number, 150)).clip(0, 255)
        Image.fromarray(grey.astype(np.uint8)).save(folder / f"{number}.png")
    dataset = Dataset(folder, "folder", "", good_samples(list_images(folder)), ())
    return load_good_images(dataset, FRAMING, tmp_path / "cache", 0)


def test_all_tiles_of_a_photograph_are_on_one_side(good):
    assert (len(good.train), len(good.held)) == (3, 5)
    learned = good.loaded.array[good.train_rows]
    levels = {round(float(tile.mean() - 20) / 30) for tile in learned}
    assert levels == set(good.train.tolist())
    assert len(learned) > len(good.train)
    held = {round(float(tile.mean() - 20) / 30) for tile in good.parity_tiles(99, 0)}
    assert held == set(good.held.tolist())
    assert [one.shape[0] for one in good.held_out] == [70 + 20 * n for n in good.held]
    assert "in " + str(len(learned)) + " tiles to train on" in good.describe()
    assert good.shape_hint() is None


def tiled_loop(good: GoodImages, folder: Path) -> Loop:
    folder.mkdir(exist_ok=True)
    loop = tiny_loop(folder, steps=8, rotation="none")
    tiles = {"images": good.loaded.array, "rows": good.train_rows}
    loop.batches = dataclasses.replace(loop.batches, **tiles)
    return loop


def test_a_batch_is_a_function_of_seed_and_step(good, tmp_path):
    batches = tiled_loop(good, tmp_path).batches
    first, again = batches(3), dataclasses.replace(batches)(3)
    assert torch.equal(first.corrupted, again.corrupted)
    assert first.rows is None, "moved tiles do not come again"
    rows = batches.order(3)
    regular = torch.from_numpy(good.loaded.array[rows]).permute(0, 3, 1, 2) / 255
    assert not torch.equal(first.clean, regular)
    other = dataclasses.replace(batches, seed=1)
    assert not torch.equal(other(3).clean, first.clean)


def test_stopped_and_resumed_ends_with_the_same_bits(good, tmp_path):
    whole = tiled_loop(good, tmp_path / "whole")
    whole.run()
    stop_after(tiled_loop(good, tmp_path / "stopped"), 5)
    resumed = tiled_loop(good, tmp_path / "stopped")
    assert newest_checkpoint(resumed.checkpoints).step == 5
    resumed.run()
    expected = weights(whole)
    assert all(torch.equal(expected[name], value) for name, value in weights(resumed).items())


@pytest.fixture(scope="module")
def options(plain: str) -> dict[str, Any]:
    few = {"steps": 4, "batch_size": 2, "size": (64, 64)}
    return {"method": plain, "fit": "tiles", "rotate": "none", **few}


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_data, options) -> Path:
    folder = tmp_path_factory.mktemp("tiled") / "run"
    flawmap.train(tiny_data, folder, reporter=Reporter(), **options)
    return folder


@pytest.mark.slow
def test_a_run_calibrates_on_photographs_as_it_inspects_them(run, tiny_data):
    manifest = read_manifest(run)
    assert manifest.preprocessing.framing == Framing((64, 64), "tiles", 16)
    assert (manifest.training.images, manifest.training.held_out) == (5, 5)
    assert len(manifest.training.trained_on) == 5
    assert manifest.parity.images == 8, "of 4 tiles of each of 5 photographs"
    inspector, scores, peaks = flawmap.Inspector.load(run), [], []
    for path in open_dataset(tiny_data).good_train:
        seen = inspector.inspect(path)
        assert seen.anomaly_map.shape == read_image(path).shape[:2] == (96, 96)
        scores.append(seen.score)
        peaks.append(float(seen.anomaly_map.max()))
    assert set(manifest.calibration.scores) < set(scores)
    assert set(manifest.calibration.peaks) < set(peaks)
    assert not (run / ".flawmap-work").exists()


@pytest.mark.slow
def test_it_is_resumed_with_the_same_tiles_only(run, tiny_data, options, tmp_path):
    (begun := tmp_path / "begun").mkdir()
    (begun / "settings.json").write_bytes((run / "settings.json").read_bytes())
    with pytest.raises(UsageError, match="overlap = 16, now it is 8"):
        flawmap.train(tiny_data, begun, resume=True, overlap=8, **options)
    with pytest.raises(UsageError, match="fit = 'tiles', now it is 'squash'"):
        flawmap.train(tiny_data, begun, resume=True, **options | {"fit": "squash"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fit": "tiles", "overlap": 200}, "give 0 to 128"),
        ({"overlap": 8}, "Only tiles can overlap"),
        ({"fit": "stretch"}, "--fit stretch: input should be"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_read(tmp_path, options, told):
    with pytest.raises(FlawmapError, match=told):
        flawmap.train(tmp_path / "nothing", tmp_path / "run", **options)


def test_letterboxed_images_are_windows_with_their_shape_kept(tiny_data, tmp_path):
    paths = open_dataset(tiny_data).good_train[:2]
    framing = Framing((32, 64), "letterbox")
    loaded = load_images(paths, framing.size, fit="letterbox")
    expected = [framing.preprocess(read_image(path)).tile(0) for path in paths]
    np.testing.assert_array_equal(loaded.array, expected)
