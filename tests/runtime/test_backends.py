"""Every backend owes the same: the graph's outputs, whatever the batch, from any thread."""

from __future__ import annotations

import gc
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flawmap import FlawmapError, UsageError
from flawmap.runtime import onnxruntime as onnx_runtime
from flawmap.runtime import registry
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.runtime.registry import choose, has_bf16_here, open_backend


@pytest.fixture(scope="module")
def graph(tiny_run) -> bytes:
    return (tiny_run / "model.onnx").read_bytes()


@pytest.fixture(scope="module", params=registry.NAMES)
def backend(request, graph):
    pytest.importorskip(request.param)
    return open_backend(graph, backend=request.param, threads=1)


def pictures(backend, count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, *backend.size, 3), np.uint8)


def test_it_says_what_it_is(backend, graph):
    assert backend.name in registry.NAMES
    assert backend.size == OnnxRuntime(graph).size


def test_cuda_is_asked_for_float32_not_tf32(graph, monkeypatch):
    ort, asked = onnx_runtime.ort, []
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: there)
    session = ort.InferenceSession

    def open_on_cpu(graph, options, providers):
        asked.extend(providers)
        return session(graph, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", open_on_cpu)
    OnnxRuntime(graph, 1, "cuda")
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"})]


def test_it_gives_what_onnx_runtime_gives(backend, graph):
    images = pictures(backend, 3)
    maps, scores = backend(images)
    expected_maps, expected_scores = OnnxRuntime(graph, 1)(images)
    assert maps.dtype == scores.dtype == np.float32
    assert maps.shape == (3, *backend.size)
    assert scores.shape == (3,)
    np.testing.assert_allclose(maps, expected_maps, atol=1e-4)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    assert np.ptp(expected_maps) > 0, "the comparison is not of constants"


def test_an_image_scores_the_same_in_any_batch(backend):
    images = pictures(backend, 4)
    maps, scores = backend(images)
    for i in range(4):
        alone, score = backend(images[i : i + 1])
        np.testing.assert_allclose(alone[0], maps[i], atol=1e-5)
        np.testing.assert_allclose(score[0], scores[i], atol=1e-5)


def test_results_are_the_callers_to_keep(backend):
    first, other = pictures(backend, 1), 255 - pictures(backend, 1)
    maps, scores = backend(first)
    kept = maps.copy(), scores.copy()
    backend(other)
    np.testing.assert_array_equal(maps, kept[0])
    np.testing.assert_array_equal(scores, kept[1])


def test_a_view_will_do(backend):
    images = pictures(backend, 1)
    turned = np.rot90(images, axes=(1, 2))
    np.testing.assert_array_equal(backend(turned)[0], backend(np.ascontiguousarray(turned))[0])


def test_threads_do_not_mix_up_each_others_images(backend):
    images = pictures(backend, 12)
    expected = [backend(image[None])[1][0] for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: backend(image[None])[1][0], images))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_warming_up_is_two_black_batches(backend, monkeypatch):
    seen = []
    monkeypatch.setattr(type(backend), "__call__", lambda self, images: seen.append(images))
    backend.warm_up(3)
    assert [x.shape for x in seen] == [(3, *backend.size, 3)] * 2
    assert not any(x.any() for x in seen)


def test_what_is_no_graph_is_refused(backend):
    with pytest.raises(FlawmapError, match="cannot load the graph"):
        open_backend(b"not a graph", backend=backend.name)


def test_a_device_that_is_not_there(backend, graph):
    with pytest.raises(FlawmapError, match=r"no device 'fpga' here, only (CPU|cpu)"):
        open_backend(graph, backend=backend.name, device="fpga")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"backend": "tensorrt"}, "choose auto, onnxruntime or openvino"),
        ({"precision": "fp4"}, "choose one of float32, bf16, int8"),
        ({"threads": 0}, "give 1 or more"),
        ({"backend": "onnxruntime", "precision": "bf16"}, "use openvino"),
    ],
)
def test_options_that_make_no_sense(graph, options, told):
    with pytest.raises(UsageError, match=told):
        open_backend(graph, **options)


@pytest.mark.parametrize(
    ("device", "precision", "chosen"),
    [
        ("cpu", "float32", "onnxruntime"),
        ("cuda", "float32", "onnxruntime"),
        ("cpu", "bf16", "openvino"),
        ("GPU", "float32", "openvino"),
    ],
)
def test_auto_is_the_one_that_can(device, precision, chosen):
    assert choose("auto", device, precision) == chosen
    assert choose("openvino", device, precision) == "openvino"


def test_openvino_that_is_not_installed_says_how(graph, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(FlawmapError, match=r"pip install 'flawmap\[openvino\]'"):
        open_backend(graph, backend="openvino")


def test_bf16_is_near_where_there_is_any_and_refused_elsewhere(graph):
    pytest.importorskip("openvino")
    if not has_bf16_here():
        with pytest.raises(FlawmapError, match="no bf16 arithmetic"):
            open_backend(graph, backend="openvino", precision="bf16")
        return
    exact = open_backend(graph, backend="openvino")
    rough = open_backend(graph, backend="openvino", precision="bf16")
    images = pictures(exact, 2)
    np.testing.assert_allclose(rough(images)[0], exact(images)[0], atol=0.05)


def test_a_signal_is_survived_after_two_of_openvinos_graphs(graph):
    """Each Core brought back the signal stack of the one before, which was freed by then."""
    pytest.importorskip("openvino")
    first = open_backend(graph, backend="openvino")
    second = open_backend(graph, backend="openvino")
    del first
    del second
    gc.collect()
    told = []
    before = signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == [signal.SIGINT]
