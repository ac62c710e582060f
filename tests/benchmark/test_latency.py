from __future__ import annotations

import json

import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.benchmark import latency as module
from flawmap.benchmark.latency import PARTS, load_inspector, render_latencies
from flawmap.data import resize as framing


@pytest.fixture
def quick(monkeypatch):
    """One cold start, and few images a batch size."""
    monkeypatch.setattr(module, "_COLD_STARTS", 1)
    monkeypatch.setattr(module, "_THROUGHPUT", 2)
    monkeypatch.setattr(module, "_WARM_UP", 1)
    monkeypatch.setattr(module, "BATCHES", (1, 2))


def test_it_times_every_part_and_says_on_what(quick, tiny_run, images, tmp_path):
    file = tmp_path / "new" / "latency.json"
    found = flawmap.latency(
        tiny_run, [images], count=5, batch=2, threads=1, backend="onnxruntime", json_file=file
    )
    assert json.loads(file.read_text()) == found
    assert {"p50_ms", "p90_ms", "p99_ms", "images_per_s", "peak_mb", "cold_start_s"} <= set(found)
    assert found["images"] == 6, "whole batches"
    assert (found["backend"], found["precision"]) == ("onnxruntime", "float32")
    assert (found["batch"], found["threads"], found["fit"]) == (2, 1, "squash")
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert set(found["parts"]) == set(PARTS)
    assert all(value > 0 for value in found["parts"].values())
    assert sum(found["parts"].values()) < 2 * found["p90_ms"]
    assert set(found["batches"]) == {"1", "2"}
    assert found["cold_start_s"] > 0.01
    assert found["versions"]["onnxruntime"]


def test_every_image_of_a_folder_is_taken_in_turn(quick, tiny_run, images, monkeypatch):
    read = []
    original = framing.read_scaled
    monkeypatch.setattr(
        framing,
        "read_scaled",
        lambda data, *more, **named: read.append(data) or original(data, *more, **named),
    )
    flawmap.latency(tiny_run, [images], count=6)
    assert set(read) == {path.read_bytes() for path in images.rglob("*.png")}


@pytest.mark.slow
def test_torch_is_a_backend_of_the_bench(quick, tiny_run, images):
    found = flawmap.latency(tiny_run, [images], count=2, threads=1, backend="torch")
    assert found["backend"] == "torch"
    assert found["versions"]["torch"]
    assert found["cold_start_s"] > 0.01


def test_torch_scores_as_the_graph_does(tiny_run, images):
    paths = sorted(images.rglob("*.png"))
    ours, torchs = (load_inspector(tiny_run, backend=name) for name in ("auto", "torch"))
    for image in paths:
        assert ours.inspect(image).score == pytest.approx(torchs.inspect(image).score, abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"precision": "bf16"}, "float32"), ({"device": "GPU"}, "device")],
)
def test_what_torch_does_not_run(wrong, message, tiny_run, images):
    with pytest.raises(FlawmapError, match=message):
        flawmap.latency(tiny_run, [images], backend="torch", **wrong)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"batch": 0}])
def test_numbers_that_make_no_sense(wrong, tiny_run, images):
    with pytest.raises(UsageError, match="of at least 1"):
        flawmap.latency(tiny_run, [images], **wrong)


def test_the_table_shows_the_best_batch_and_the_machine():
    one = {
        "method": "destseg", "preset": "fast", "teacher": "pocket", "size": [256, 256],
        "photograph": [512, 480], "backend": "openvino", "precision": "bf16", "batch": 1,
        "p50_ms": 9.96, "p90_ms": 11.0, "p99_ms": 12.0, "parts": dict.fromkeys(PARTS, 2.5),
        "batches": {"1": 100.0, "8": 140.4, "16": 139.0}, "peak_mb": None, "cold_start_s": 0.512,
        "threads": 2, "hardware": {"processor": "A CPU"}, "versions": {"openvino": "1.2"},
    }  # fmt: skip
    head, rule, row, _, machine = render_latencies([one]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert "| destseg fast pocket 256x256 | 512x480 | openvino bf16 | 1 | 10.0 | 11.0 |" in row
    assert row.endswith("| 140 (8) | - | 0.51 |")
    assert machine == "A CPU, 2 threads; openvino 1.2."


@pytest.mark.slow
def test_tiles_are_timed_as_well(quick, run_copy, images):
    manifest = json.loads((run_copy / "manifest.json").read_text())
    manifest["preprocessing"] |= {"fit": "tiles", "overlap": 64}
    (run_copy / "manifest.json").write_text(json.dumps(manifest))
    found = flawmap.latency(run_copy, [images / "part10.png"], count=1, threads=1)
    assert (found["fit"], found["photograph"]) == ("tiles", [300, 280])
