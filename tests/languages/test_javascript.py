"""The JavaScript of ``docs/other-languages.md`` gives Python's verdicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import flawmap
from docs.blocks import ROOT, blocks
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.inspector import Inspector
from languages.pictures import EXAMPLES, check_resizing, draw_pngs

FOLDER = EXAMPLES / "javascript"
PAGE = ROOT / "docs" / "other-languages.md"


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return found


@pytest.fixture(scope="module")
def packages(node: str) -> None:
    """What package.json asks for, installed once beside the program as its user does."""
    wanted = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    there = [FOLDER / "node_modules" / name / "package.json" for name in wanted]
    if all(path.is_file() for path in there):
        return
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--fetch-retries=1"]
    without_cuda = {"ONNXRUNTIME_NODE_INSTALL": "skip", "ONNXRUNTIME_NODE_INSTALL_CUDA": "skip"}
    try:
        subprocess.run(
            command, cwd=FOLDER, env=os.environ | without_cuda,
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm cannot install {', '.join(wanted)}: {error}")


def inspect(node: str, run: Path, images: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [node, str(FOLDER / "inspect.mjs"), str(run / "model.onnx"), *map(str, images)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def lines_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def set_thresholds(run: Path, review: float, reject: float) -> None:
    """As if calibration had found them."""
    manifest = read_manifest(run)
    limits = manifest.calibration
    changed = limits.model_copy(
        update={
            "review": limits.review.model_copy(update={"value": review}),
            "reject": limits.reject.model_copy(update={"value": reject}),
        }
    )
    save_manifest(run, manifest.model_copy(update={"calibration": changed}))


def halfway(scores: list[float], share: float) -> float:
    """Between two scores, as far from any as there are."""
    ordered = sorted(scores)
    middle = round(share * len(ordered))
    at = max(range(middle - 2, middle + 3), key=lambda i: ordered[i] - ordered[i - 1])
    return (ordered[at] + ordered[at - 1]) / 2


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_its_verdicts_are_those_of_python(
    node: str, run_copy: Path, tiny_data: Path, tmp_path: Path
) -> None:
    images = [*draw_pngs(tmp_path), *sorted(tiny_data.glob("test/*/*.png"))]
    inspector = Inspector.load(run_copy, backend="onnxruntime")
    scores = [inspector.inspect(path).score for path in images]
    set_thresholds(run_copy, halfway(scores, 0.3), halfway(scores, 0.7))
    inspector = Inspector.load(run_copy, backend="onnxruntime")
    expected = [inspector.inspect(path) for path in images]
    found = lines_of(inspect(node, run_copy, images))
    assert [line["path"] for line in found] == list(map(str, images))
    shown = next(one for one in blocks(PAGE) if one.language == "json").text.splitlines()
    assert {tuple(json.loads(line)) for line in shown} == {tuple(line) for line in found}
    np.testing.assert_allclose([line["score"] for line in found], scores, atol=1e-4)
    assert [line["verdict"] for line in found] == [one.verdict for one in expected]
    assert {line["verdict"] for line in found} == {"good", "review", "reject"}
    marked = [int(one.mask.sum()) for one in expected]
    np.testing.assert_allclose([line["marked"] for line in found], marked, atol=60)  # of 65,536


@pytest.mark.usefixtures("packages")
def test_a_score_at_the_threshold_is_not_above_it(
    node: str, run_copy: Path, tiny_data: Path
) -> None:
    images = sorted(tiny_data.glob("test/good/*.png"))[:1]
    (line,) = lines_of(inspect(node, run_copy, images))
    set_thresholds(run_copy, line["score"] / 2, line["score"])
    assert lines_of(inspect(node, run_copy, images))[0]["verdict"] == "review"


@pytest.mark.usefixtures("packages")
def test_what_it_cannot_apply_it_refuses(node: str, run_copy: Path, tmp_path: Path) -> None:
    flawmap.regions(run_copy, min_area=4)
    done = inspect(node, run_copy, draw_pngs(tmp_path)[:1])
    assert done.returncode != 0
    assert "does not know how to apply: filters" in done.stderr
    assert done.stdout == ""


def test_its_resizing_is_pillows_to_the_bit(node: str) -> None:
    program = """
        import { resize } from "./resize.mjs";
        import { readFileSync } from "node:fs";
        const done = JSON.parse(readFileSync(0)).map(([pixels, ...sizes]) =>
            Buffer.from(resize(Buffer.from(pixels, "base64"), ...sizes)).toString("base64"));
        process.stdout.write(JSON.stringify(done));
    """

    def resizer(images: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> list[bytes]:
        jobs = [[b64encode(one.tobytes()).decode(), *one.shape, *size] for one in images]
        done = subprocess.run(
            [node, "--input-type=module", "-e", program],
            cwd=FOLDER, input=json.dumps(jobs), capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [b64decode(one) for one in json.loads(done.stdout)]

    check_resizing(resizer)
