"""Manifests edited by hand, by a script, or by a bad disk: a manifest, or one or two lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import (
    Export,
    Manifest,
    Parity,
    Preprocessing,
    Teacher,
    Training,
    read_manifest,
)
from flawmap.inspection.bundle.models import read_model
from flawmap.inspection.conformal import Calibration

QUICK = settings(
    max_examples=300,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([10**30, "../x", "/dev/zero", "\ud800", "a\nb\nc", [0, 0], 2**63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=4,
)  # fmt: skip
CALIBRATION = Calibration.from_scores([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
SHA = "0" * 64


def whole() -> dict[str, Any]:
    """A manifest with an export and figures, as its JSON."""
    training = Training(
        data="part", folder="part", layout="mvtec", images=2, held_out=3, skipped=0,
        fingerprint=SHA, trained_on=(SHA, SHA), rotation="none", rotation_reason="asked for",
        textures="drawn", seed=0, steps=1, device="cpu", precision="float32",
        seconds={"train": 1.0},
    )  # fmt: skip
    found = Export(
        precision="int8", files={"exports/onnx/model.int8.onnx": SHA}, calibration=CALIBRATION,
        images=1, map_max=0, map_mean=0, score_max=0, score_mean=0, flips=0,
        p_value_mean=0, within_limits=True,
    )  # fmt: skip
    manifest = Manifest(
        method="destseg", preset="fast", configuration={"steps": 1},
        preprocessing=Preprocessing(size=(64, 64)),
        teacher=Teacher(name="pocket", file="pocket", sha256=SHA), calibration=CALIBRATION,
        training=training, parity=Parity(images=1, map=0, score=0, limit=1e-4),
        files={"model.onnx": SHA}, versions={"python": "3"}, exports={"onnx-int8": found},
        metrics={"image_auroc": 1.0},
    )  # fmt: skip
    value: dict[str, Any] = manifest.model_dump(mode="json")
    return value


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key."""
    if not isinstance(value, dict | list):
        return
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        yield from spots(value[key])


def outcome(run: Path) -> str:
    """What reading the manifest and then its graphs says: a line or two."""
    try:
        manifest = read_manifest(run)
        for precision in ("float32", "int8"):
            read_model(run, manifest, "onnxruntime", precision)
    except FlawmapError as error:
        said = str(error)
    else:
        pytest.fail("there is no graph beside the manifest")
    assert 1 <= len(said.splitlines()) <= 2
    assert len(said) < 700
    return said


@QUICK
@given(st.data())
def test_edited(tmp_path: Path, data: st.DataObject) -> None:
    document = whole()
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(spots(document))
        if not places:
            break
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        action = data.draw(st.sampled_from(["drop", "change", "rename"]))
        if action == "drop":
            del holder[key]
        elif action == "rename" and isinstance(holder, dict):
            holder[data.draw(st.text(max_size=9) | st.just("a\nb\nc"))] = holder.pop(key)
        else:
            holder[key] = data.draw(ANYTHING)
    (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    outcome(tmp_path)


@QUICK
@given(st.data())
def test_damaged(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(json.dumps(whole()).encode())
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0), st.integers(0, 255)))):
        content[at % len(content)] = byte
    keep = data.draw(st.integers(0, 2 * len(content)))
    (tmp_path / "manifest.json").write_bytes(content[:keep])
    outcome(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../other/model.onnx",
        "/dev/zero",
        "exports/../../x",
        "a\\b",
        "C:x",
        "\0",
        "",
        "..",
        "x" * 999,
    ],
)
def test_an_export_names_no_file_outside_its_run(tmp_path: Path, name: str) -> None:
    document = whole()
    document["exports"]["onnx-int8"]["files"] = {name: SHA}
    (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    assert "not a file of the run folder" in outcome(tmp_path)


def test_an_export_of_no_files_is_none(tmp_path: Path) -> None:
    document = whole()
    document["exports"]["onnx-int8"]["files"] = {}
    manifest = Manifest.model_validate(document)
    with pytest.raises(FlawmapError, match="has no INT8 model"):
        read_model(tmp_path, manifest, "onnxruntime", "int8")


def test_a_key_of_many_lines_stays_one(tmp_path: Path) -> None:
    document = whole() | {"a\nb\nc\nd": 1}
    (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    assert "a?b?c?d" in outcome(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_pipe_does_not_hang(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(whole()), encoding="utf-8")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert "Not a regular file" in outcome(tmp_path)
