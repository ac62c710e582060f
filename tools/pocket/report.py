"""Measure finished distillations on held-out images, and write the cosines as JSON.

    python tools/pocket/report.py --teacher WEIGHTS --data ../shared/data \\
        --bank runs/bank_s0_4608.npy --run final=runs/pocket --run drawn=runs/short_drawn

MVTec AD images are measured on only: no run learns from them.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import mean_cosines, read_folder, stage_cosines
from network import Lifts
from safetensors.torch import load_file
from views import Bank

from flawmap.backbones.resnet import ResNetTeacher
from flawmap.backbones.weights import load_teacher
from flawmap.utils.hardware import hardware, versions


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    teacher = load_teacher(options.teacher)[0]
    sets = held_out(options.data, options.bank)
    runs = dict(pair.split("=", 1) for pair in options.run)
    command = shlex.join(["python", *sys.argv])
    record: dict[str, Any] = {"name": options.json.stem, "command": command, **_where()}
    record["shipped_sha256"] = _sha256(options.shipped)
    record["pictures"] = {name: len(images) for name, images in sets.items()}
    record["mean_feature_cosine"] = mean_feature(Path(next(iter(runs.values()))), teacher, sets)
    record["runs"] = {name: measured(Path(run), teacher, sets) for name, run in runs.items()}
    options.json.write_text(json.dumps(record, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="holds mvtec_ad_256, dtd_256")
    parser.add_argument("--bank", type=Path, required=True, help="the .npy of drawn images")
    parser.add_argument("--run", action="append", required=True, help="NAME=FOLDER; repeatable")
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks/results/pocket_distillation.json")
    )
    parser.add_argument(
        "--shipped", type=Path, default=Path("src/flawmap/backbones/pocket.safetensors")
    )
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def held_out(data: Path, bank: Path) -> dict[str, Bank]:
    """Return images by set: the last drawn ones, good MVTec images, every eighth DTD texture."""
    mvtec, dtd = data / "mvtec_ad_256", sorted((data / "dtd_256/images").rglob("*.*"))
    return {
        "drawn": np.load(bank, mmap_mode="r")[-128:],
        "screw": read_folder(sorted((mvtec / "screw/train/good").glob("*.png"))[::4]),
        "toothbrush": read_folder(sorted((mvtec / "toothbrush/train/good").glob("*.png"))),
        "dtd": read_folder(dtd[::8]),
    }


def measured(run: Path, teacher: ResNetTeacher, sets: dict[str, Bank]) -> dict[str, Any]:
    """Return a run's configuration and its mean cosines by set and stage."""
    weights = run / "pocket.safetensors"
    pocket, lifts = load_teacher(weights)[0], _lifts(run)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    cosines = {n: stage_cosines(pocket, lifts, teacher, p) for n, p in sets.items()}
    options = json.loads((run / "options.json").read_text())
    about = {"options": options, "sha256": _sha256(weights), "train_seconds": log[-1]["seconds"]}
    return {**about, "cosine": cosines}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def mean_feature(
    run: Path, teacher: ResNetTeacher, sets: dict[str, Bank]
) -> dict[str, list[float]]:
    """Return for comparison the cosines of a constant, the teacher's mean feature."""
    lifts = _lifts(run)
    return {n: mean_cosines(lifts, teacher, images) for n, images in sets.items()}


def _lifts(run: Path) -> Lifts:
    lifts = Lifts()
    lifts.load_state_dict(load_file(run / "lifts.safetensors"))
    return lifts


def _where() -> dict[str, Any]:
    words = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    date = datetime.date.today().isoformat()
    return {"date": date, "commit": commit, "versions": versions(), "hardware": hardware()}


if __name__ == "__main__":
    main()
