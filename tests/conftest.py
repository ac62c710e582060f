"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestModule
from filelock import FileLock
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from flawmap.data.image_io.images import write_png
from flawmap.demonstration.drawing import draw_dataset
from flawmap.inspection.bundle.manifest import (
    GRAPH,
    Manifest,
    Parity,
    Preprocessing,
    Teacher,
    Training,
    read_manifest,
    run_id,
    write_manifest,
)
from flawmap.inspection.conformal import Calibration
from flawmap.synthesis.textures import draw_textures
from inspection.records import make_record

settings.register_profile("flawmap", deadline=None)  # a busy machine must not fail a test
settings.load_profile("flawmap")

TINY = ("--teacher", "pocket", "--rotate", "slight", "--size", "128x128")
TINY += ("--steps", "12", "--batch-size", "2")


def pytest_configure(config: pytest.Config) -> None:
    """Give all processes of the tests one cache of traced graphs, and let Ctrl-C arrive.

    A shell's background jobs ignore it: tests send it.
    """
    if getattr(config, "cache", None) is not None:  # not with -p no:cacheprovider
        os.environ["XDG_CACHE_HOME"] = str(config.cache.mkdir("home"))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if sys.platform == "win32" and item.get_closest_marker("posix"):
        pytest.skip("Windows lacks these pipes and signals")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Iterator[list[pytest.Collector]]:
    """Look for examples in docstrings of the sources only."""
    found = yield
    return [one for one in found if not isinstance(one, DoctestModule)]


def pytest_collection_finish() -> None:
    """Leave what importing and collecting made out of garbage collections: exports start many."""
    gc.collect()
    gc.freeze()


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """A function that fills the folder of a name, once for all processes of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = root / name, root / f"{name}.made"
        with FileLock(root / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real images beside the checkout; skips the test where they are absent."""
    path = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real images at {path}")
    return path


@pytest.fixture(scope="session")
def shared_weights(shared_data: Path) -> Path:
    """The real ImageNet teacher beside the checkout; skips the test where it is absent."""
    path = shared_data.parent / "weights" / "resnet18_imagenet_bnfolded.safetensors"
    if not path.is_file():
        pytest.skip(f"no teacher weights at {path}")
    return path


@pytest.fixture(scope="session")
def tiny_data(once: Once) -> Path:
    """A drawn product in the layout of MVTec AD: 10 good to train on; 3 good and 6 defective."""

    def make(folder: Path) -> None:
        counts = {"train_good": 10, "test_good": 3, "defective_per_type": 1}
        draw_dataset(folder / "data", 1, size=96, **counts)

    return once("tiny", make) / "data"


@pytest.fixture(scope="session")
def tiny_textures(once: Once) -> Path:
    """A folder of six images for ``--textures``."""

    def make(folder: Path) -> None:
        for index, texture in enumerate(draw_textures(6, (96, 96), 0)):
            write_png(folder / f"{index}.png", texture)

    return once("textures", make)


@pytest.fixture(scope="session")
def flawmap_process() -> tuple[list[str], dict[str, str]]:
    """Command and environment of a real ``flawmap``, on one core for the same bits every time."""
    return [sys.executable, "-m", "flawmap"], os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def tiny_run(
    once: Once,
    tiny_data: Path,
    tiny_textures: Path,
    flawmap_process: tuple[list[str], dict[str, str]],
) -> Path:
    """A finished run of 12 steps on ``tiny_data``, by the command line. Do not change it."""
    command, environment = flawmap_process

    def make(folder: Path) -> None:
        run = folder / "run"
        said = subprocess.run(
            [*command, "train", tiny_data, "--out", run, "--textures", tiny_textures, *TINY],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / "said.txt").write_text(said.stdout + said.stderr, encoding="utf-8")
        assert said.returncode == 0, said.stderr

    return once("tiny-run", make) / "run"


@pytest.fixture(scope="session")
def tall_graph(once: Once) -> Callable[[str], tuple[Any, Path]]:
    """A function that returns, for a preset, a miniature DeSTSeg and its exported file.

    It works on 128x64. All features of one stage of the ``fast`` one are 0, as may happen at a
    position: the division by their norm must stay guarded. Do not change either.
    """
    from flawmap.exporting.onnx_graph import export_onnx
    from methods.tiny import TALL, lively_module, silence

    def get(preset: str) -> tuple[Any, Path]:
        module = lively_module(preset, size=TALL)
        if preset == "fast":
            silence(module.student.decoder.stages[0])

        def make(folder: Path) -> None:
            export_onnx(module, TALL, folder / "graph.onnx", has_distances=True)

        return module, once(f"tall-{preset}", make) / "graph.onnx"

    return get


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    """The name of a method that trains and exports quickly, for ``--method``."""
    from methods.plain import registered

    with registered() as name:
        yield name


@pytest.fixture
def run_copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run; model and weights are links, so replace and never modify them."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder, copy_function=_link_large)
    return folder


def _link_large(source: str, target: str) -> None:
    if Path(source).stat().st_size > 2**20:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def calibrated_run(tmp_path: Path) -> Path:
    """A run folder with only a manifest, calibrated on 60 scores of a normal distribution."""
    scores = np.random.default_rng(0).normal(size=60).tolist()
    training = Training(
        data="parts", folder="parts", layout="folder", images=240, held_out=60, skipped=0,
        fingerprint="", trained_on=(), rotation="none", rotation_reason="", textures="", seed=0,
        steps=2, device="cpu", precision="float32", seconds={},
    )  # fmt: skip
    manifest = Manifest(
        method="destseg", preset="fast", configuration={}, training=training, versions={},
        files={GRAPH: "ab" * 32}, preprocessing=Preprocessing(size=(64, 64)),
        calibration=Calibration.from_scores(scores, scores),
        teacher=Teacher(name="tiny", file="", sha256=""),
        parity=Parity(images=1, map=0.0, score=0.0, limit=1e-4),
    )  # fmt: skip
    (folder := tmp_path / "calibrated").mkdir()
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def lines_of(calibrated_run: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes ``predict``'s lines of 200 parts, whose scores are shifted.

    Keyword arguments change a field of each line, such as ``precision``.
    """
    manifest = read_manifest(calibrated_run)
    judge = manifest.calibration

    def write(shift: float, more: str = "", **changes: str) -> Path:
        scores = (np.random.default_rng(1).normal(size=200) + shift).tolist()
        wrote = {"run": run_id(manifest)} | changes
        records = [
            make_record(score=s, p_value=judge.p_value(s), verdict=judge.verdict(s), **wrote)
            for s in scores
        ]
        path = tmp_path / "lines.jsonl"
        lines = "".join(record.to_json() + "\n" for record in records)
        path.write_text(lines + more, encoding="utf-8")
        return path

    return write


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images of different sizes, in colour, grey and in a folder below."""
    rng = np.random.default_rng(4)
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    write_png(folder / "part2.png", rng.integers(0, 256, (40, 60, 3), np.uint8))
    write_png(folder / "part10.png", rng.integers(0, 256, (300, 280), np.uint8))
    write_png(folder / "below" / "part1.png", rng.integers(0, 256, (256, 256, 3), np.uint8))
    return folder
