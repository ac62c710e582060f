"""Fit one of anomalib's models, keep its raw maps, and time its own OpenVINO inferencer.

Runs in the peers' environment, started by ``run.py``, which talks to it over standard input and
output: ``fit`` fits, exports and writes maps; ``time N`` times N images. Each answer is a line of
JSON. Nothing of flawmap is imported here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import sys
import time
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from anomalib.data import Folder
from anomalib.deploy import ExportType, OpenVINOInferencer
from anomalib.engine import Engine
from anomalib.models import EfficientAd, Patchcore, Stfpm, Supersimplenet
from lightning import seed_everything
from PIL import Image
from safetensors.torch import load_file
from torch import nn

# Epochs are those of anomalib's own examples, batch sizes are Folder's default. Early stopping on
# the test images' metrics is left out.
EPOCHS = {"patchcore": 1, "stfpm": 100, "supersimplenet": 300, "efficientad": 0}
RESNET = "resnet18"
# PatchCore chooses 17 patches a second of 49,152, and fewer as there are more (one core, measured):
# its coreset cannot be stopped by the clock, so it is as large as the minutes allow.
A_MINUTE = 60 * 17 * 49_152


def build(name: str, size: tuple[int, int], ratio: float) -> Any:
    """Return the model with its defaults, except for the backbone: ResNet-18, as for flawmap.

    ``ratio``: share of the patches that PatchCore keeps, 0.1 at most, which is its default.
    """
    model = {
        "patchcore": Patchcore,
        "stfpm": Stfpm,
        "supersimplenet": Supersimplenet,
        "efficientad": EfficientAd,
    }[name]
    options: dict[str, Any] = {"pre_processor": model.configure_pre_processor(size)}
    if name == "patchcore":
        options["coreset_sampling_ratio"] = min(0.1, ratio)
    if name == "efficientad":
        return model(model_size="small", **options)
    return model(backbone=RESNET, **options)


def use_weights(file: Path) -> None:
    """Make timm's "pretrained" ResNet-18 use the file's weights instead of a download."""
    original = timm.create_model

    def create(backbone: str, pretrained: bool = False, **options: Any) -> nn.Module:
        network = original(backbone, pretrained=False, **options)
        if pretrained:
            _load_folded(network, load_file(file))
        return network

    timm.create_model = create


def _load_folded(network: nn.Module, folded: dict[str, torch.Tensor]) -> None:
    """Load weights with folded batch norms: the network's norms become the biases."""
    norms = {"conv1": "bn1", "conv2": "bn2", "0": "1"}
    for name, part in network.named_modules():
        if not isinstance(part, nn.Conv2d) or f"{name}.weight" not in folded:
            continue
        part.weight.data.copy_(folded[f"{name}.weight"])
        place, _, last = name.rpartition(".")
        norm = network.get_submodule(f"{place}.{norms[last]}".lstrip("."))
        nn.init.constant_(norm.weight, (1.0 + norm.eps) ** 0.5)
        norm.bias.data.copy_(folded[f"{name}.bias"])
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)


class Peer:
    """The model, from fitting to timing. Validation, which sees test images, is left out."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.name, self.out, self.size = asked.name, asked.out, tuple(asked.size)
        self.seed, self.minutes = asked.seed, asked.minutes
        self.epochs = EPOCHS[self.name]
        listing = json.loads(asked.images.read_text())
        self.train = [Path(path) for path in listing["train"]]
        self.test = [(Path(path), defective) for path, defective in listing["test"]]
        self.images = [path for path, _ in self.test]
        self.inferencer: OpenVINOInferencer | None = None  # once fitted

    def fit(self) -> dict[str, Any]:
        """Fit, keep raw maps and scores of the test images, export for OpenVINO.

        The results of an earlier call in the folder are reused.
        """
        done = self.out / "fit.json"
        if not done.is_file():
            self.out.mkdir(parents=True, exist_ok=True)
            done.write_text(json.dumps(self._fit()))
        result: dict[str, Any] = json.loads(done.read_text())
        self.inferencer = OpenVINOInferencer(self.out / result.pop("model"), device="CPU")
        return result

    def _fit(self) -> dict[str, Any]:
        seed_everything(self.seed)
        patches = len(self.train) * (self.size[0] // 8) * (self.size[1] // 8)
        ratio = 1.0 if self.minutes is None else self.minutes * A_MINUTE / patches**2
        model = build(self.name, self.size, ratio)
        engine = Engine(
            accelerator="cpu",
            devices=1,
            max_epochs=max(1, self.epochs),
            default_root_dir=self.out,
            logger=False,
            enable_progress_bar=False,
            limit_val_batches=0,
            max_time=None if self.minutes is None else timedelta(minutes=self.minutes),
        )
        folder = Folder(
            name="peer",
            root=self._linked(),
            normal_dir="train",
            normal_test_dir="good",
            abnormal_dir="defective",
            val_split_mode="same_as_test",
            num_workers=0,
        )
        begun = time.perf_counter()
        if EPOCHS[self.name]:
            engine.fit(model, datamodule=folder)
        seconds = time.perf_counter() - begun
        if EPOCHS[self.name]:
            self._keep_maps(model)
        path = engine.export(
            model,
            ExportType.OPENVINO,
            export_root=self.out,
            input_size=self.size,
            # With a dynamic batch size, PatchCore was exported for batches of 2.
            onnx_kwargs={"dynamic_axes": None, "dynamic_shapes": None},
        )
        return {
            "model": str(Path(path).relative_to(self.out)),
            "fit_seconds": round(seconds, 1),
            "cores": len(os.sched_getaffinity(0)),
            "patches": round(min(0.1, ratio) * patches) if self.name == "patchcore" else None,
            "epochs": [engine.trainer.current_epoch, self.epochs],
            "torch": torch.__version__,
        }

    def _linked(self) -> Path:
        """Create a folder of links to the images, as anomalib's Folder reads them."""
        root = self.out / "images"
        kinds = [(path, "train") for path in self.train]
        kinds += [(path, "defective" if defective else "good") for path, defective in self.test]
        for number, (path, kind) in enumerate(kinds):
            (root / kind).mkdir(parents=True, exist_ok=True)
            link = root / kind / f"{number:05}{path.suffix}"
            if not link.is_symlink():
                link.symlink_to(path)
        return root

    def _keep_maps(self, model: Any) -> None:
        """Save raw maps and scores, before anomalib normalises them, in the order of the images."""
        model.eval()
        maps, scores = [], []
        for path in self.images:
            pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
            with torch.no_grad():
                output = model.model(model.pre_processor(pixels[None].float() / 255))
            maps.append(output.anomaly_map.squeeze().numpy())
            scores.append(float(output.pred_score.squeeze()))
        np.savez(self.out / "maps.npz", maps=np.stack(maps), scores=np.array(scores))

    def _fitting(self, path: Path) -> Path | np.ndarray:
        """Return the image's path, or the image resized if the exported model has another size."""
        height, width = self.size
        with Image.open(path) as image:
            if image.size == (width, height):
                return path
            resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(resized, np.float32) / 255

    def time(self, count: int) -> dict[str, Any]:
        """Return the milliseconds from an image's path to its prediction."""
        assert self.inferencer is not None
        milliseconds = []
        for path in itertools.islice(itertools.cycle(self.images), count):
            begun = time.perf_counter()
            self.inferencer.predict(self._fitting(path))
            milliseconds.append(1000.0 * (time.perf_counter() - begun))
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"milliseconds": milliseconds, "peak_mb": round(used / 1024)}


def main() -> None:
    """Answer the requests of ``run.py``, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=EPOCHS)
    parser.add_argument("images", type=Path, help="listing of run.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="maximum training time; default: all epochs")
    asked = parser.parse_args()
    use_weights(asked.weights)
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        peer = Peer(asked)
        for line in sys.stdin:
            word, *count = line.split()
            answer = peer.fit() if word == "fit" else peer.time(int(count[0]))
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
