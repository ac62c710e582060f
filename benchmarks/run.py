"""Measure the README's claims that no grid covers; some need the data in ``../shared``.

``python benchmarks/run.py NAME`` measures one thing and writes ``benchmarks/results/NAME.json``;
``all`` measures everything, one after the other, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import RESULTS, ROOT, write_result

SHARED = ROOT.parent / "shared"
DATA = SHARED / "data" / "mvtec_ad_256"
RESNET = SHARED / "weights" / "resnet18_imagenet_bnfolded.safetensors"
_SUITE = (
    "mvtec_ad_256/screw",
    "mvtec_ad_256/toothbrush",
    "mvtec_ad_256/transistor",
    "kolektor_sdd",
    "surfaces/aitex_fabric_02",
    "surfaces/crackforest",
)
FLAWMAP = [sys.executable, "-m", "flawmap"]


def demo() -> dict[str, Any]:
    """Run ``flawmap demo`` from the start; return metrics and seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "demo"
        subprocess.run([*FLAWMAP, "demo", "--out", str(out)], check=True)
        return finished_demo(out)


def finished_demo(out: Path) -> dict[str, Any]:
    """Return metrics and seconds of a demo that ``make demo`` has made."""
    manifest = json.loads((out / "run" / "manifest.json").read_text())
    return {
        "figures": json.loads((out / "metrics.json").read_text()),
        "seconds": manifest["training"]["seconds"],
        "seed": manifest["training"]["seed"],
    }


def resume() -> dict[str, Any]:
    """Check that a training killed at three moments and resumed ends with the same weights."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        whole = _short_run(folder / "whole")
        command = [*whole[:-1], str(folder / "killed")]
        subprocess.run(whole, check=True)
        kills = []
        for lines in (1, 3, 5):  # lines of the log, one every ten steps, before the kill
            kills.append(_kill_after(command + (["--resume"] if kills else []), folder, lines))
        subprocess.run([*command, "--resume"], check=True)
        same = {
            name: _digest(folder / "whole" / name) == _digest(folder / "killed" / name)
            for name in ("weights.safetensors", "model.onnx")
        }
    return {"killed_after_step": kills, "bit_identical": same}


def _short_run(out: Path) -> list[str]:
    options = ["--teacher", "pocket", "--steps", "80", "--batch-size", "4", "--out"]
    return [*FLAWMAP, "train", str(DATA / "toothbrush"), *options, str(out)]


def _kill_after(command: list[str], folder: Path, lines: int) -> int:
    log = folder / "killed" / "training.jsonl"
    process = subprocess.Popen(command)
    while not log.is_file() or len(log.read_text().splitlines()) < lines:
        time.sleep(0.05)
        if process.poll() is not None:
            raise RuntimeError("the run ended before it could be killed")
    time.sleep(0.4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return int(json.loads(log.read_text().splitlines()[-1])["step"])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def synthesis() -> dict[str, Any]:
    """Measure images per second of synthesis, its share of a training step, and time by family."""
    import numpy as np
    import torch
    from speed import ours, shares

    from flawmap.methods.registry import find_preset
    from flawmap.synthesis.textures import draw_textures
    from flawmap.training.steps.batches import BatchMaker

    config = find_preset("destseg", "fast")
    start = time.perf_counter()
    bank = draw_textures(64, config.size, 0)
    drawing = 64 / (time.perf_counter() - start)
    images = np.random.default_rng(0).integers(0, 256, (64, *config.size, 3), dtype=np.uint8)
    result: dict[str, Any] = {"textures_drawn_per_s": round(drawing, 1)}
    make = BatchMaker(
        images, bank, config.anomalies, config.batch_size, "full", "edge", 0, torch.device("cpu")
    )
    for teacher in ("pocket", RESNET):
        steps, count = ours("fast", str(teacher), None, torch.device("cpu"))
        seconds = {name: _median(step) for name, step in steps.items()}
        step = sum(share * seconds[name] for name, share in shares("fast").items())
        alone = _median(lambda: make(3))
        result[Path(teacher).stem.split("_")[0]] = {
            "synthesis_images_per_s": round(count / alone, 1),
            "synthesis_share_of_step": round(alone / step, 4),
            "seconds": {k: round(v, 4) for k, v in (seconds | {"synthesis": alone}).items()},
        }
    result["processor_ms_of_a_batch_by_family"] = _by_family(bank, config.batch_size)
    return result


def _by_family(bank: Any, batch: int) -> dict[str, float]:
    """Return one thread's milliseconds for a batch of each family, and of all in equal shares."""
    import numpy as np
    import torch
    from speed import IMAGES

    from flawmap.data.image_io.images import read_image
    from flawmap.synthesis.anomalies import AnomalyConfig
    from flawmap.synthesis.families.weights import FAMILY_NAMES
    from flawmap.training.steps.batches import BatchMaker

    images = np.stack([read_image(path) for path in IMAGES[:64]])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    milliseconds = {}
    for asked in (*FAMILY_NAMES, "all"):
        weights = {name: float(asked in (name, "all")) for name in FAMILY_NAMES}
        anomalies = AnomalyConfig(foreground_share=0.5, families=weights)
        make = BatchMaker(images, bank, anomalies, batch, "none", "edge", 0, torch.device("cpu"))
        laps = []
        for step in range(14):
            start = time.process_time()
            make(step)
            laps.append(time.process_time() - start)
        milliseconds[asked] = round(statistics.median(laps[2:]) * 1000, 1)
    torch.set_num_threads(threads)
    return milliseconds


def alignment() -> dict[str, Any]:
    """Measure how many positions resemble most the same position in other good images."""
    import numpy as np
    import torch

    from flawmap.backbones.features import ImageNorm
    from flawmap.backbones.weights import load_teacher
    from flawmap.data.layouts import open_dataset
    from flawmap.data.store import load_images
    from flawmap.methods.normality.alignment import share_in_place
    from flawmap.methods.normality.memory import describe

    teacher, _ = load_teacher("pocket")
    shares = {}
    for product in _SUITE:
        size = (640, 256) if product == "kolektor_sdd" else (256, 256)
        good = open_dataset(DATA.parent / product).good_train
        picked = np.random.default_rng(0).permutation(len(good))[:60]
        images = load_images([good[i] for i in picked], size).array
        x = torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float() / 255
        norm = ImageNorm(teacher.mean, teacher.std)
        with torch.no_grad():
            places = torch.cat([describe(teacher(norm(some))) for some in x.split(8)])
        unseen = min(20, len(places) // 5)
        shares[product] = round(share_in_place(places[unseen:], places[:unseen], 0), 3)
    return {"share_in_place": shares}


def _median(work: Callable[[], object], times: int = 7) -> float:
    work()
    laps = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        laps.append(time.perf_counter() - start)
    return statistics.median(laps)


def metrics() -> dict[str, Any]:
    """Time all metrics of 42 maps at 256², and compare them with scikit-learn's."""
    import numpy as np
    from sklearn.metrics import average_precision_score, roc_auc_score

    from flawmap.evaluation.metrics import Evaluator

    maps, masks = _plausible_maps()
    laps = []
    for _ in range(7):
        start = time.perf_counter()
        evaluator = Evaluator()
        for one, mask in zip(maps, masks, strict=True):
            evaluator.update(one, mask, float(one.max()), bool(mask.any()))
        computed = evaluator.compute()
        laps.append(time.perf_counter() - start)
    flat, truth = np.concatenate(maps).ravel(), np.concatenate(masks).ravel()
    auroc, precision = computed["pixel_auroc"], computed["pixel_ap"]
    assert auroc is not None
    assert precision is not None
    return {
        "maps": len(maps),
        "seconds_median": round(statistics.median(laps), 4),
        "difference": {
            "pixel_auroc": abs(auroc - roc_auc_score(truth, flat)),
            "pixel_ap": abs(precision - average_precision_score(truth, flat)),
        },
    }


def _plausible_maps() -> tuple[list[Any], list[Any]]:
    """Return 42 peaked maps with blobs, 30 of them with two defects each."""
    import numpy as np
    from scipy import ndimage

    rng = np.random.default_rng(0)
    maps, masks = [], []
    for index in range(42):
        mask = np.zeros((256, 256), np.uint8)
        if index >= 12:
            for y, x in rng.integers(20, 230, (2, 2)):
                mask[y : y + 12, x : x + 20] = 1
        logits = ndimage.gaussian_filter(rng.normal(size=(256, 256)), 4) * 20 - 8
        logits += 10 * ndimage.gaussian_filter(mask.astype(float), 3)
        maps.append((1 / (1 + np.exp(-logits))).astype(np.float32))
        masks.append(mask)
    return maps, masks


def install() -> dict[str, Any]:
    """Measure a fresh base install: packages, size, absence of torch, time of --help."""
    with tempfile.TemporaryDirectory() as scratch:
        venv = Path(scratch) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(venv / "bin" / "pip"), "--disable-pip-version-check"]
        before = _packages(pip)
        constraints = ["-c", str(ROOT / "constraints.txt")]
        subprocess.run([*pip, "install", "--quiet", *constraints, str(ROOT)], check=True)
        packages = sorted(_packages(pip) - before)
        help_command = [str(venv / "bin" / "flawmap"), "--help"]
        laps = _median(lambda: subprocess.run(help_command, capture_output=True, check=True))
        imports = [str(venv / "bin" / "python"), "-c", "import flawmap"]
        bare = [str(venv / "bin" / "python"), "-c", "pass"]
        import_s = _median(lambda: subprocess.run(imports, check=True))
        bare_s = _median(lambda: subprocess.run(bare, check=True))
        wheels = Path(scratch) / "wheels"
        subprocess.run(
            [*pip, "download", "--quiet", *constraints, "-d", str(wheels), str(ROOT)], check=True
        )
        (site,) = venv.glob("lib/python*/site-packages")
        sizes = {"download_mb": _megabytes(wheels), "installed_mb": _megabytes(site)}
    return {
        "packages": packages,
        "package_count": len(packages),
        "torch_installed": "torch" in packages,
        "help_seconds": round(laps, 3),
        "import_flawmap_seconds": round(import_s - bare_s, 3),
        **sizes,
    }


def _megabytes(folder: Path) -> int:
    """Return a folder's size, without pip, setuptools and compiled Python."""
    own = {"pip", "setuptools", "__pycache__"}
    files = (p for p in folder.rglob("*") if p.is_file() and not own & set(p.parts))
    return round(sum(path.stat().st_size for path in files) / 2**20)


def _packages(pip: list[str]) -> set[str]:
    listed = subprocess.run([*pip, "list", "--format=json"], capture_output=True, check=True)
    return {entry["name"].lower() for entry in json.loads(listed.stdout)}


MEASUREMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "demo": demo,
    "resume": resume,
    "synthesis": synthesis,
    "metrics": metrics,
    "install": install,
    "alignment": alignment,
}


def compare_demo(metrics: dict[str, float]) -> None:
    """Print image AUROC and pixel AP beside those of the result file, before it is replaced."""
    before = json.loads((RESULTS / "demo.json").read_text())["figures"]
    for name in ("image_auroc", "pixel_ap"):
        change = metrics[name] - before[name]
        print(f"{name}: {metrics[name]:.3f}, in demo.json {before[name]:.3f} ({change:+.3f})")


def main() -> None:
    """Run the given measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*MEASUREMENTS, "all"])
    parser.add_argument("--made", type=Path, help="with demo: folder of a finished demo")
    options = parser.parse_args()
    asked = options.name
    if options.made:
        made = finished_demo(options.made)
        compare_demo(made["figures"])
        write_result("demo", "make demo", **made)
        return
    if not DATA.is_dir():
        sys.exit(f"The real data are not at {os.path.relpath(DATA)}.")
    for name in MEASUREMENTS if asked == "all" else [asked]:
        write_result(name, **MEASUREMENTS[name]())


if __name__ == "__main__":
    main()
