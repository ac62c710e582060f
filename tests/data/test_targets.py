"""Results are written over nothing that is not theirs, by any verb."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flawmap
from flawmap import UsageError
from flawmap.data.image_io.images import encode_jpeg, encode_png, write_png
from flawmap.data.targets import LINES, REPORT, check_folder, check_target

GREY = np.full((8, 8), 90, np.uint8)
LINE = '{"path": "a.png", "error": "b", "run": "0a", "precision": "bf16", "backend": "onnx"}\n'
OURS = {
    "figures": (
        b'{"image_auroc": 1.0, "pixel_auroc": 1.0, "iap": null, "notes": {}}',
        "image_auroc",
        False,
    ),
    "lines": (LINE.encode() + b'{"path"', LINES, True),
    "report": (b"<!DOCTYPE html>\n<html><title>Inspection report: x</title>", REPORT, False),
    "empty": (b"", LINES, True),
}
STRANGE = [
    encode_png(GREY), encode_jpeg(np.dstack([GREY] * 3)), b"some text", b"[1]", b"{}", b"[" * 9999,
    b'{"shapes": [], "imagePath": "a.png"}', b'{"annotations": []}',
    b'{"path": "a.png", "label": 1}', b'{"image_auroc": 0.9}', b'{"statement": "mine"}',
    b"\xff\xfe\0", b"<html>mine</html>", b'{\n  "format": 1\n}\n',
]  # fmt: skip


@pytest.mark.parametrize("content", STRANGE)
@pytest.mark.parametrize("kind", ["figures", "lines", "report"])
def test_what_is_not_ours_stays(tmp_path: Path, kind: str, content: bytes) -> None:
    _, holds, streamed = OURS[kind]
    path = tmp_path / "results"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not replaced"):
        check_target(path, holds, streamed=streamed)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UsageError, match="not replaced"):
        check_target(tmp_path / "link", holds, streamed=streamed)


@pytest.mark.parametrize("kind", OURS)
def test_our_own_results_are_replaced(tmp_path: Path, kind: str) -> None:
    content, holds, streamed = OURS[kind]
    path = tmp_path / "results"
    check_target(path, holds, streamed=streamed)
    path.write_bytes(content)
    check_target(path, holds, streamed=streamed)


@pytest.mark.parametrize("name", ["new.png", "new.JPG", "a.tiff", "0.webp"])
def test_names_of_images_are_refused_even_where_none_is(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="named like an image"):
        check_target(tmp_path / name, LINES)


@pytest.mark.posix
def test_folders_inputs_and_pipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_target(tmp_path, LINES)
    source = tmp_path / "in.jsonl"
    source.write_bytes(OURS["lines"][0])
    os.link(source, tmp_path / "same.jsonl")
    for same in (source, tmp_path / "same.jsonl", tmp_path / "." / "in.jsonl"):
        with pytest.raises(UsageError, match="named twice"):
            check_target(same, LINES, inputs=[None, source], streamed=True)
    os.mkfifo(tmp_path / "pipe")
    check_target(tmp_path / "pipe", LINES, streamed=True)
    with pytest.raises(UsageError, match="not a regular file"):
        check_target(tmp_path / "pipe", "image_auroc")
    check_target("-", LINES)
    check_target(None, LINES)
    check_folder(tmp_path / "new")
    with pytest.raises(UsageError, match="is a file"):
        check_folder(source)


def _every_verb(run: Path, data: Path, lines: Path) -> dict[str, Callable[[Path], Any]]:
    return {
        "predict": lambda file: flawmap.predict(run, [data / "test"], json_file=file),
        "predict --out": lambda file: flawmap.predict(run, [data / "test"], out=file),
        "evaluate": lambda file: flawmap.evaluate(run, data, json_file=file),
        "evaluate --report": lambda file: flawmap.evaluate(run, data, report=file),
        "calibrate": lambda file: flawmap.calibrate(run, false_reject=0.3, json_file=file),
        "judge": lambda file: flawmap.judge(run, lines, json_file=file),
        "drift": lambda file: flawmap.drift(run, lines, json_file=file),
        "latency": lambda file: flawmap.latency(run, [data / "test"], count=1, json_file=file),
        "watch": lambda file: flawmap.watch(run, data, json_file=file, stop=lambda: True),
        "watch --out": lambda file: flawmap.watch(
            run, data, json_file=lines.with_name("new.jsonl"), out=file, stop=lambda: True
        ),
    }


VERBS = list(_every_verb(Path(), Path(), Path()))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_an_image_as_its_target(
    tiny_run: Path, tiny_data: Path, tmp_path: Path, verb: str
) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text(LINE, encoding="utf-8")
    for name in ("part.png", "part"):
        path = tmp_path / name
        write_png(path, GREY)
        before, manifest = path.read_bytes(), (tiny_run / "manifest.json").read_bytes()
        with pytest.raises(UsageError):
            _every_verb(tiny_run, tiny_data, lines)[verb](path)
        assert path.read_bytes() == before
        assert (tiny_run / "manifest.json").read_bytes() == manifest


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that nobody can write")
@pytest.mark.parametrize("kind", [LINES, REPORT, "statement"])
def test_what_cannot_be_written_is_told_before_the_work(kind: str) -> None:
    with pytest.raises(flawmap.FlawmapError, match="Cannot write /proc/none/results"):
        check_target("/proc/none/results", kind)
