"""Tiling of large images: memory and time at 4096x2048, and differences from a single pass.

``python benchmarks/tiling.py RUN [DATA]`` writes ``benchmarks/results/tiling.json``. RUN is an
inspector of DATA, ``../shared/data/kolektor_sdd``, trained on tiles; it is trained first if it does
not exist. The network's weights fit any working size, so it is exported again for larger tiles,
which give the single pass that tiles are compared with. Large images are real ones, mirrored side
by side.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import ROOT, write_result

import flawmap
from flawmap.data.image_io.images import read_image, write_png
from flawmap.data.layouts import open_dataset
from flawmap.data.resize import Framing, Layout, default_overlap
from flawmap.exporting.onnx_graph import export_onnx
from flawmap.exporting.rebuild import rebuild
from flawmap.inspection.bundle.manifest import GRAPH, Preprocessing, read_manifest, write_manifest
from flawmap.inspection.tiled import TiledInference
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.types import Size
from flawmap.utils.files import digest

DATA = ROOT.parent / "shared" / "data" / "kolektor_sdd"
LARGE = (2048, 4096)  # height, width
STEPS = 300
TILES = (256, 512, 1024)
WHOLE = {256: 768, 512: 1024}  # side of the single pass, by that of the tiles compared with it
SHARES = (0.0, 0.125, 0.25, 0.375, 0.5)  # overlaps as shares of a tile's side
DISTANCES = (0, 16, 32, 64, 96, 128, 192, 256, 512)  # pixels from the nearest edge between tiles
IMAGES = 4

# Memory is measured in a process that does nothing else.
CHILD = """
import json, resource, sys, time
import flawmap
run, image, out = sys.argv[1:]
if out:
    begun = time.perf_counter()
    flawmap.predict(run, [image], out=out)
    seconds = [time.perf_counter() - begun]
else:
    inspector, seconds = flawmap.Inspector.load(run), []
    for _ in range(3):
        begun = time.perf_counter()
        inspector.inspect(image)
        seconds.append(time.perf_counter() - begun)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
print(json.dumps({"peak_mb": round(peak), "seconds": round(min(seconds), 2)}))
"""


def mirrored(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return the image enlarged to this size by repeated mirroring."""
    around = [(0, max(0, size[0] - image.shape[0])), (0, max(0, size[1] - image.shape[1])), (0, 0)]
    padded: NDArray[np.uint8] = np.pad(image, around, mode="symmetric")[: size[0], : size[1]]
    return np.ascontiguousarray(padded)


def resized(run: Path, side: int, overlap: int, place: Path) -> Path:
    """Export the same network as an inspector for tiles of ``side``; return its folder."""
    folder = place / f"{side}"
    if not folder.exists():
        shutil.copytree(run, folder)
        manifest = read_manifest(run)
        network = rebuild(run, manifest, size=(side, side)).module
        export_onnx(network, (side, side), folder / GRAPH, has_distances=True)
        size = Preprocessing(size=(side, side), fit="tiles", overlap=overlap)
        files = manifest.files | {GRAPH: digest(folder / GRAPH)}
        changed = manifest.model_copy(update={"preprocessing": size, "files": files})
        write_manifest(folder, changed)
    return folder


def measure_memory(run: Path, image: Path, place: Path) -> list[dict[str, Any]]:
    """Measure one image in tiles of several sizes, inspected and with output images written."""
    rows = []
    for side in TILES:
        overlap = default_overlap((side, side))
        folder = resized(run, side, overlap, place)
        layout = Framing((side, side), "tiles", overlap).layout(LARGE)
        row: dict[str, Any] = {"tile": side, "overlap": overlap, "windows": layout.count}
        for name, out in (("inspect", ""), ("predict", str(place / "marked"))):
            command = [sys.executable, "-c", CHILD, str(folder), str(image), out]
            row[name] = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
        rows.append(row)
        print(row, flush=True)
    return rows


def measure_seams(
    run: Path, images: list[NDArray[np.uint8]], side: int, place: Path
) -> dict[str, Any]:
    """Compare tiles of ``side`` with the single pass of a larger model of the same weights."""
    size = (WHOLE[side], WHOLE[side])
    configuration = read_manifest(run).configuration
    models = {s: OnnxRuntime((resized(run, s, 0, place) / GRAPH).read_bytes()) for s in
              (side, WHOLE[side])}  # fmt: skip
    whole = TiledInference.of(Framing(size, "tiles"), configuration)
    enlarged = [mirrored(image, size) for image in images]
    direct = [models[size[0]](image[None]) for image in enlarged]
    single = [maps[0] for maps, _ in direct]
    one_tile = [
        np.abs(whole.one(models[size[0]], image)[0] - expected).max()
        for image, expected in zip(enlarged, single, strict=True)
    ]
    rows = []
    for share in SHARES:
        framing = Framing((side, side), "tiles", int(share * side))
        inference, layout = TiledInference.of(framing, configuration), framing.layout(size)
        tiled = [inference.one(models[side], image)[0] for image in enlarged]
        apart = np.abs(np.stack(tiled) - np.stack(single))
        if not share:
            distances = _by_distance(apart, layout)
        rows.append(
            {
                "overlap": framing.overlap,
                "windows": layout.count,
                "max": float(apart.max()),
                "mean": float(apart.mean()),
                "p99": float(np.percentile(apart, 99)),
                "step_at_seams": float(np.mean([_step(one, layout) for one in tiled])),
            }
        )
        print(rows[-1], flush=True)
    highest, mean = float(np.max(single)), float(np.mean(single))
    return {
        "tile": side,
        "photograph": list(size),
        "one_tile_max": float(max(one_tile)),
        "map_max": highest,
        "map_mean": mean,
        "overlaps": rows,
        "by_distance": distances,
    }


def _by_distance(apart: NDArray[np.float32], layout: Layout) -> list[dict[str, float]]:
    """Return the mean difference by distance from the next tile, for tiles without overlap."""
    near = []
    for starts, side in zip((layout.tops, layout.lefts), layout.map_size, strict=True):
        lines = np.array(starts[1:]) - 0.5
        near.append(np.abs(np.arange(side)[:, None] - lines).min(1))
    distance = np.minimum(near[0][:, None], near[1])
    rows = []
    for low, high in itertools.pairwise(DISTANCES):
        here = (distance >= low) & (distance < high)
        if here.any():
            rows.append({"from": low, "to": high, "mean": float(apart[:, here].mean())})
    return rows


def _step(anomaly_map: NDArray[np.float32], layout: Layout) -> float:
    """Return the map's mean step across tile edges relative to all other lines; 1: no seam."""
    down = np.abs(np.diff(anomaly_map, axis=0)).mean(1)
    edges = np.zeros(len(down), bool)
    for top in layout.tops:
        for line in (top - 1, top + layout.size[0] - 1):
            if 0 <= line < len(edges):
                edges[line] = True
    return float(down[edges].mean() / down[~edges].mean())


def main() -> None:
    """Train if needed, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="an inspector; trained if it does not exist")
    parser.add_argument("data", type=Path, nargs="?", default=DATA, help="of a supported layout")
    given = parser.parse_args()
    run, data = given.run, given.data
    if not run.exists():
        flawmap.train(data, run, fit="tiles", size=(256, 256), steps=STEPS, rotate="none")
    defective = open_dataset(data, training=False).defective_test
    images = [read_image(sample.path) for sample in defective[:: len(defective) // IMAGES][:IMAGES]]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_png(place / "large.png", mirrored(images[0], LARGE))
        memory = measure_memory(run, place / "large.png", place)
        seams = [measure_seams(run, images, side, place) for side in WHOLE]
    training = read_manifest(run).training
    write_result(
        "tiling",
        f"python benchmarks/tiling.py {run.name}",
        data=data.name,
        steps=training.steps,
        photograph=list(LARGE),
        memory=memory,
        seams=seams,
    )


if __name__ == "__main__":
    main()
