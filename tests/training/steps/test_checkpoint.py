from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from flawmap.errors import FlawmapError
from flawmap.methods.optimisation import PhaseConfig, build_optimisers
from flawmap.training.steps.checkpoint import (
    learned_state,
    load_learned_state,
    newest_checkpoint,
    pack,
    remove_checkpoints,
    save_checkpoint,
    unpack_module,
    unpack_optimisers,
)
from methods.tiny import tiny_method


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    return layers.to(memory_format=torch.channels_last)


def optimisers_of(module: nn.Module, kind: str) -> list[torch.optim.Optimizer]:
    config = PhaseConfig(optimiser=kind, learning_rates=(0.05,), share=1)
    return build_optimisers([module], config)


def steps(module: nn.Module, optimisers: list[torch.optim.Optimizer], seeds: range) -> None:
    for seed in seeds:
        x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        module.zero_grad()
        module(x.contiguous(memory_format=torch.channels_last)).square().mean().backward()
        for optimiser in optimisers:
            optimiser.step()


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_round_trip_goes_on_bit_for_bit(tmp_path: Path, kind):
    module = network(0)
    optimisers = optimisers_of(module, kind)
    steps(module, optimisers, range(5))
    save_checkpoint(tmp_path, 5, pack(module, optimisers))
    steps(module, optimisers, range(5, 9))

    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    other = network(1)
    unpack_module(other, found.tensors)
    resumed = optimisers_of(other, kind)
    unpack_optimisers(resumed, found.tensors)
    steps(other, resumed, range(5, 9))
    for name, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_counts_of_steps_go_to_the_parameters_device(tmp_path: Path):
    """Where the optimiser asks for it, as a fused or capturable one on CUDA; meta stands for it."""
    weight = nn.Parameter(torch.ones(3))
    before = torch.optim.AdamW([weight], capturable=True)
    before.state[weight] = {"step": torch.tensor(7.0), "exp_avg": torch.ones(3)}
    tensors = pack(nn.Identity(), [before])
    elsewhere = nn.Parameter(torch.ones(3, device="meta"))
    after = torch.optim.AdamW([elsewhere], capturable=True)
    unpack_optimisers([after], tensors)
    assert {key: value.device.type for key, value in after.state[elsewhere].items()} == {
        "step": "meta",
        "exp_avg": "meta",
    }


def test_an_optimiser_without_buffers_round_trips():
    weight = nn.Parameter(torch.ones(3))
    plain = torch.optim.SGD([weight])
    weight.grad = torch.ones(3)
    plain.step()
    unpack_optimisers([plain], pack(nn.Identity(), [plain]))
    plain.step()


@pytest.mark.parametrize("kind", ["sgd", "adamw", "muon"])
def test_without_the_optimisers_steps_differ(kind):
    """The buffers matter: were they lost, the round trip above would show it."""
    module, other = network(0), network(1)
    optimisers = optimisers_of(module, kind)
    steps(module, optimisers, range(5))
    unpack_module(other, pack(module, []))
    steps(module, optimisers, range(5, 6))
    steps(other, optimisers_of(other, kind), range(5, 6))
    assert not torch.equal(module[0].weight, other[0].weight)


def test_only_the_newest_two_are_kept(tmp_path: Path):
    for step in (5, 30, 200, 1000):
        save_checkpoint(tmp_path, step, {"x": torch.tensor([float(step)])})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000200.safetensors",
        "step-00001000.safetensors",
    ]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    """One bit of one weight, which safetensors cannot see."""
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "spoil",
    [cut, lambda data: b"", lambda data: data[:-1], lambda data: bytes(len(data)), flip],
    ids=["cut", "empty", "one byte short", "zeros", "one bit"],
)
def test_damaged_newest_falls_back_and_says_so(tmp_path: Path, spoil, caplog):
    save_checkpoint(tmp_path, 10, {"x": torch.arange(1000.0)})
    newest = save_checkpoint(tmp_path, 20, {"x": torch.zeros(1000)})
    newest.write_bytes(spoil(newest.read_bytes()))
    with caplog.at_level(logging.WARNING, "flawmap"):
        found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 10
    assert torch.equal(found.tensors["x"], torch.arange(1000.0))
    assert "step-00000020.safetensors is damaged" in caplog.text


def test_foreign_safetensors_is_passed_over(tmp_path: Path, caplog):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2)}, tmp_path / "step-00000007.safetensors")
    assert newest_checkpoint(tmp_path) is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 4, 4)])
def test_every_kind_of_tensor_has_a_digest(tmp_path: Path, kind, shape):
    value = torch.ones(shape).to(kind)
    save_checkpoint(tmp_path, 1, {"x": value})
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert torch.equal(found.tensors["x"], value)


def test_no_folder_no_checkpoint(tmp_path: Path):
    assert newest_checkpoint(tmp_path / "absent") is None


def test_full_disk_keeps_the_previous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for step in (10, 20):
        save_checkpoint(tmp_path, step, {"x": torch.full((3,), float(step))})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FlawmapError, match="No space left"):
        save_checkpoint(tmp_path, 30, {"x": torch.zeros(3)})
    assert len(list(tmp_path.iterdir())) == 2, "no temporary file is left"
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 20


def test_a_write_that_was_killed_leaves_nothing_for_good(tmp_path: Path):
    """kill -9 in the middle of a write leaves a temporary file; the end of the run drops it."""
    folder = tmp_path / "checkpoints"
    save_checkpoint(folder, 10, {"x": torch.zeros(3)})
    (folder / ".flawmap-999.0123abcd.tmp").write_bytes(b"half")
    found = newest_checkpoint(folder)
    assert found is not None
    assert found.step == 10
    remove_checkpoints(folder)
    assert not folder.exists()


def test_remove_leaves_other_files(tmp_path: Path):
    save_checkpoint(tmp_path, 10, {"x": torch.zeros(3)})
    (tmp_path / "notes.txt").write_text("mine")
    remove_checkpoints(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_the_teacher_is_not_stored():
    module = tiny_method("fast").module
    state = learned_state(module)
    assert state
    assert {name.split(".")[0] for name in state} == {"student", "head", "memory"}
    other = tiny_method("fast", seed=1).module
    load_learned_state(other, state)
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in state.items())


@pytest.mark.parametrize("change", ["missing", "unexpected", "misshapen"])
def test_weights_of_another_network_are_refused(change):
    module = tiny_method("fast").module
    state = dict(learned_state(module))
    name = next(iter(state))
    if change == "missing":
        del state[name]
    elif change == "unexpected":
        state["head.extra.weight"] = torch.zeros(1)
    else:
        state[name] = torch.zeros(1, 2, 3)
    with pytest.raises(FlawmapError, match="another network"):
        load_learned_state(module, state)
