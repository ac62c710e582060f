"""Teacher's and student's distances as a read-out: DeST, and single levels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.read_outs.distances import DistanceGraph
from methods.tiny import TALL, tiny_method

pytestmark = pytest.mark.slow  # exports networks

IMAGES = np.random.default_rng(5).integers(0, 256, (3, *TALL, 3), np.uint8)


@pytest.mark.parametrize("levels", [(1, 2, 3), (2,)])
def test_it_is_the_map_of_the_method_without_a_head(tall_graph, levels):
    """The same student under both: the graph with a head, and torch without one."""
    whole, path = tall_graph("fast")
    bare = tiny_method("fast", size=TALL, head="none", levels=levels).module
    bare.teacher, bare.student = whole.teacher, whole.student
    bare.eval()
    graph = DistanceGraph(path.read_bytes(), levels, whole.config.model_dump(mode="json"))
    maps, scores = graph(IMAGES)
    with torch.no_grad():
        x = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255
        expected_maps, expected_scores, _ = bare(x)
    np.testing.assert_allclose(maps, expected_maps.numpy(), atol=2e-6)
    np.testing.assert_allclose(scores, expected_scores.numpy(), atol=2e-6)
    assert np.ptp(maps) > 1e-3, "the comparison is not of constants"


@pytest.mark.parametrize("other", [{"precision": "int8"}, {"backend": "openvino"}, {"threads": 2}])
def test_another_runtime_is_refused_and_not_ignored(run_copy, tiny_data, other):
    with pytest.raises(UsageError, match=f"leave --{next(iter(other))} out"):
        flawmap.evaluate(run_copy, tiny_data, distances=[1], **other)


def test_evaluate_measures_it_and_keeps_the_run_as_it_is(run_copy, tiny_data, tmp_path):
    flawmap.evaluate(run_copy, tiny_data)
    before = read_manifest(run_copy)
    file = tmp_path / "dest.json"
    found = flawmap.evaluate(run_copy, tiny_data, distances=(1, 2, 3), json_file=file)
    values = json.loads(file.read_text())
    assert values["notes"]["read_out"] == "product of the distances at levels 1, 2, 3"
    assert values["pixel_ap"] != before.metrics["pixel_ap"]
    assert values["images"] == before.metrics["images"]
    assert found.rows == (), "thresholds belong to the map"
    assert read_manifest(run_copy) == before


@pytest.mark.parametrize(
    ("levels", "told"), [((4,), "levels 1 to 3"), ((0,), "from 1"), ((2, 2), "each once")]
)
def test_levels_that_are_none(run_copy, tiny_data, levels, told):
    with pytest.raises(UsageError, match=told):
        flawmap.evaluate(run_copy, tiny_data, distances=levels)


def test_no_report_of_verdicts_that_are_none(run_copy, tiny_data, tmp_path):
    with pytest.raises(UsageError, match="leave one out"):
        flawmap.evaluate(run_copy, tiny_data, distances=(1,), report=tmp_path / "report.html")


def test_a_changed_graph_is_refused(run_copy: Path, tiny_data):
    (run_copy / "model.onnx").unlink()  # the copy's files are links
    (run_copy / "model.onnx").write_bytes(b"another")
    with pytest.raises(FlawmapError, match="not the model"):
        flawmap.evaluate(run_copy, tiny_data, distances=(1,))
