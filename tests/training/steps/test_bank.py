from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from flawmap.synthesis import upload
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.training.steps import bank, batches
from flawmap.training.steps.bank import Bank, room_on
from flawmap.training.steps.batches import BatchMaker
from training.tiny import CPU, tiny_images


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (600, 8, 6, 3), np.uint8)


@pytest.mark.parametrize("room", [0, 600 * 8 * 6 * 3 - 1, 600 * 8 * 6 * 3])
def test_kept_or_uploaded_the_images_are_the_same(pixels, room):
    rows = np.array([5, 599, 5, 256])
    found = Bank.of(pixels, CPU, room)
    assert found.kept_bytes == (pixels.nbytes if room == pixels.nbytes else 0)
    images = found.load(found.read(rows))
    expected = torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(images, expected)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert found.read(rows).ndim == (1 if found.kept_bytes else 4)


def test_an_empty_bank_is_not_kept():
    assert Bank.of(np.empty((0, 8, 8, 3), np.uint8), CPU, 10).kept is None


def test_a_memory_map_is_copied(tmp_path, pixels):
    path = tmp_path / "pixels"
    path.write_bytes(pixels.tobytes())
    mapped = np.memmap(path, np.uint8, "r", shape=pixels.shape)
    found = Bank.of(mapped, CPU, mapped.nbytes)
    assert found.kept is not None
    assert np.array_equal(found.kept.numpy(), pixels)


def test_room_is_a_quarter_of_the_free_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4000, 9000))
    assert room_on(CPU) == 0
    assert room_on(torch.device("cuda")) == 1000


@pytest.mark.parametrize("rotation", ["none", "full"])
def test_batches_are_the_same_wherever_images_are(monkeypatch: pytest.MonkeyPatch, rotation):
    images, textures = tiny_images(9), tiny_images(5)[..., ::-1]
    maker = BatchMaker(images, textures, AnomalyConfig(), 4, rotation, "edge", 0, CPU)
    expected = maker(3)
    for room in (images.nbytes, images.nbytes + textures.nbytes):
        monkeypatch.setattr(batches, "room_on", lambda device, room=room: room)
        kept = dataclasses.replace(maker)
        found = kept(3)
        assert [one is not None and one.kept_bytes > 0 for one in kept._banks] == [
            True,
            room > images.nbytes,
        ]
        for name in ("clean", "corrupted", "mask"):
            assert torch.equal(getattr(found, name), getattr(expected, name))


def test_memory_is_pinned_for_cuda_and_shared_for_a_cpu(monkeypatch: pytest.MonkeyPatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(x) or x)
    values = np.arange(4.0)
    here = upload.upload(values, CPU)
    values[0] = 7
    assert here[0] == 7
    assert not pinned
    upload.pinned(values, torch.device("cuda"))
    assert len(pinned) == 1
    assert bank.pinned is upload.pinned
