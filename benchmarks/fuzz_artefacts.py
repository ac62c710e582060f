"""Artefacts for the fuzzing campaign: a small trained run, and mutations of its files.

An attacker who edits a file can edit its digest, too: in half of the cases in which a file that
the manifest names was mutated, the manifest names the mutated one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_images
import numpy as np
from numpy.random import Generator

from flawmap.demonstration.drawing import draw_dataset
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.models import file_digest

MANIFEST, GRAPH, WEIGHTS = "manifest.json", "model.onnx", "weights.safetensors"
SIDE = 64
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 10**30, 1.5, -1e308, float("nan"), float("inf"), "", "1", "..",
    "../../../etc/passwd", "/dev/zero", "a\nb\nc\nd", "\0", "\ud800", "x" * 10_000, [], [[]], {},
    {"": None}, [None], [1, 2], [0, 0], [-64, 64], [64.0, 64], ["64", "64"], [2**31, 2**31],
)  # fmt: skip
Keyed = dict[Any, Any] | list[Any]


def train_tiny(folder: Path) -> Path:
    """Train two small runs of 2 steps in ``folder``: ``run`` and ``other``."""
    import flawmap

    data = draw_dataset_in(folder / "data")
    for seed, name in enumerate(("run", "other")):
        flawmap.train(
            data, folder / name, rotate="none", steps=2, batch_size=2, size=(SIDE, SIDE), seed=seed,
            textures=data / "test" / "good", method="stpm",
        )  # fmt: skip
    return folder


def draw_dataset_in(folder: Path) -> Path:
    """Draw ten good images to train on, and a few to test on."""
    draw_dataset(folder, 1, size=96, train_good=10, test_good=3, defective_per_type=1)
    return folder


def mutated(seed: int, case: int, made: Path, place: Path) -> str:
    """Write a mutated copy of the run to ``place``; return a description of the changes."""
    rng = np.random.default_rng([seed, 2, case])
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name in (MANIFEST, GRAPH, WEIGHTS):
        (place / name).symlink_to(made / "run" / name)
    change, count = CHANGES[case % len(CHANGES)]
    done = [change.__name__]
    for _ in range(int(rng.integers(1, count + 1))):
        change_made = change(place, made, rng)
        done += [change_made] if change_made else []
    return ", ".join(done)


def rewrite(path: Path, data: bytes) -> None:
    """Replace the link by a file of this content."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def spots(value: Any) -> list[tuple[Keyed, Any]]:
    """Return every place in a JSON document: its container and its key."""
    keys = value if isinstance(value, dict) else range(len(value) * isinstance(value, list))
    here = [(value, key) for key in keys]
    return here + [
        spot for holder, key in here if _holds(holder[key]) for spot in spots(holder[key])
    ]


def _holds(value: Any) -> bool:
    return isinstance(value, dict | list)


def json_level(place: Path, made: Path, rng: Generator) -> str:
    """Drop, rename or add a key of the manifest, or replace a value by a strange one."""
    document = json.loads((place / MANIFEST).read_text(encoding="utf-8", errors="replace"))
    places = spots(document)
    if not places:
        return "nothing left"
    holder, key = places[int(rng.integers(len(places)))]
    strange = STRANGE[int(rng.integers(len(STRANGE)))]
    kind = int(rng.integers(6))
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(strange)] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list) and len(holder) < 100:
        holder *= 1000
    elif kind == 3:
        _, other = places[int(rng.integers(len(places)))]
        holder[key] = json.loads(json.dumps(document.get(other) if _is_key(other) else strange))
    else:
        holder[key] = strange
    rewrite(place / MANIFEST, json.dumps(document).encode())
    return f"{key}: {strange!r:.40} ({kind})"


def _is_key(key: Any) -> bool:
    return isinstance(key, str)


def manifest_bytes(place: Path, made: Path, rng: Generator) -> str:
    """Mutate bytes of the manifest."""
    return _mutate_bytes(place / MANIFEST, rng)


def graph_bytes(place: Path, made: Path, rng: Generator) -> str:
    """Mutate bytes of the model."""
    return _mutate_bytes(place / GRAPH, rng) + _sign(place, GRAPH, rng)


def weight_bytes(place: Path, made: Path, rng: Generator) -> str:
    """Mutate bytes of the weights."""
    return _mutate_bytes(place / WEIGHTS, rng) + _sign(place, WEIGHTS, rng)


def other_file(place: Path, made: Path, rng: Generator) -> str:
    """Replace a file by another run's, a folder or nonsense, or remove it."""
    name = (MANIFEST, GRAPH, WEIGHTS)[int(rng.integers(3))]
    (place / name).unlink()
    kind = int(rng.integers(5))
    if kind == 0:
        (place / name).symlink_to(made / "other" / name)
    elif kind == 1:
        (place / name).mkdir()
    elif kind == 2:
        (place / name).symlink_to(place / name)
    elif kind == 3:
        (place / name).write_bytes(fuzz_images.mutated(0, int(rng.integers(1000)))[1])
    if kind == 1:
        return f"{name} is a folder"
    return f"{name} {kind}" + (_sign(place, name, rng) if kind in (0, 3) else "")


def graph_level(place: Path, made: Path, rng: Generator) -> str:
    """Write a valid graph with changed nodes, sizes, outputs or numbers; sign it."""
    import onnx

    model = onnx.load_model_from_string((place / GRAPH).read_bytes())
    graph, kind = model.graph, int(rng.integers(8))
    node = graph.node[int(rng.integers(len(graph.node)))]
    tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
    if kind == 0:
        node.op_type = ("Relu", "Exp", "Log", "Reciprocal", "Sqrt", "Nonsense")[
            int(rng.integers(6))
        ]
    elif kind == 1:
        graph.node.remove(node)
    elif kind == 2:
        shown = (graph.input[0], *graph.output)[int(rng.integers(1 + len(graph.output)))]
        shape = shown.type.tensor_type.shape.dim
        shape[int(rng.integers(len(shape)))].dim_value = int(rng.choice((0, 1, 7, 2**20, 2**62)))
    elif kind == 3:
        shown = (graph.input[0], *graph.output)[int(rng.integers(1 + len(graph.output)))]
        shown.name = "renamed"
    elif kind == 4:
        del graph.output[int(rng.integers(len(graph.output)))]
    elif kind == 5 and tensor.raw_data:
        low = float(rng.choice((np.nan, np.inf, 1e38, 0.0)))
        wide = len(tensor.raw_data) // 4
        tensor.raw_data = np.full(wide, low, np.float32).tobytes() + tensor.raw_data[4 * wide :]
    elif kind == 6:
        tensor.dims[:] = [int(rng.choice((0, 1, 2**20, 2**40, -1)))] * int(rng.integers(1, 6))
    else:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        where = ("../other/model.onnx", "/dev/zero", "weights.safetensors")[int(rng.integers(3))]
        tensor.external_data.add(key="location", value=where)
    rewrite(place / GRAPH, model.SerializeToString())
    _resign(place, GRAPH)
    return f"{kind} {node.op_type} {tensor.name}"


def exports(place: Path, made: Path, rng: Generator) -> str:
    """Add an INT8 export that names foreign files."""
    document = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    names = (
        "../other/model.onnx", str(made / "other" / GRAPH), "/dev/zero", "/dev/stdin", "\0", "",
        ".", "..", "exports", "model.onnx", "a" * 5000, "exports/../../other/model.onnx",
    )  # fmt: skip
    name = names[int(rng.integers(len(names)))]
    digests = (document["files"][GRAPH], "", "0" * 64)
    files = {name: digests[int(rng.integers(3))]} if rng.random() < 0.9 else {}
    document["exports"] = {
        "onnx-int8": {
            "precision": "int8", "files": files, "calibration": document["calibration"],
            "images": 1, "map_max": 0.0, "map_mean": 0.0, "score_max": 0.0, "score_mean": 0.0,
            "p_value_mean": 0.0,
            "flips": 0, "within_limits": True,
        }
    }  # fmt: skip
    rewrite(place / MANIFEST, json.dumps(document).encode())
    return f"INT8 of {name!r:.40}"


def _mutate_bytes(path: Path, rng: Generator) -> str:
    mutate = fuzz_images.MUTATIONS[int(rng.integers(8))]
    data = path.read_bytes()
    rewrite(path, bytes(mutate(bytearray(data or b"\0"), rng)))
    return mutate.__name__


def _sign(place: Path, name: str, rng: Generator) -> str:
    if rng.random() < 0.5:
        return ""
    _resign(place, name)
    return " signed"


def _resign(place: Path, name: str) -> None:
    """Write the file's current digest into the manifest."""
    if name == MANIFEST:
        return
    document = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    try:
        document["files"][name] = file_digest(place, name)
    except FlawmapError:  # not an ONNX file any more, so it cannot be signed
        return
    rewrite(place / MANIFEST, json.dumps(document).encode())


Change = Callable[[Path, Path, Generator], str]
CHANGES: tuple[tuple[Change, int], ...] = (
    (json_level, 3), (json_level, 3), (json_level, 1), (manifest_bytes, 3), (graph_bytes, 2),
    (weight_bytes, 2), (other_file, 1), (graph_level, 1), (exports, 1),
)  # fmt: skip
