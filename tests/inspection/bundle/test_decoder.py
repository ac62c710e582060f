"""The decoder of JPEG files is recorded, and another one is warned of where its pixels differ."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

import flawmap
from flawmap.data.image_io.fast import jpeg_decoder, jpeg_digest
from flawmap.inspection.bundle import decoder
from flawmap.inspection.bundle.decoder import decoder_here
from flawmap.inspection.bundle.manifest import read_manifest


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_training_records_it(tiny_run: Path):
    recorded = read_manifest(tiny_run).decoder
    assert recorded == decoder_here()
    assert (recorded.jpeg, recorded.jpeg_sha256) == (jpeg_decoder(), jpeg_digest())


def test_another_is_warned_of_until_the_run_is_calibrated_with_it(
    run: Path, images: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    flawmap.Inspector.load(run)
    assert caplog.messages == []
    other = decoder_here().model_copy(update={"jpeg_sha256": "ab" * 32})
    for name in ("flawmap.inspection.bundle.decoder", "flawmap.calibration.recalibrate"):
        monkeypatch.setattr(f"{name}.decoder_here", lambda: other)
    monkeypatch.setattr(decoder, "jpeg_digest", lambda: other.jpeg_sha256)
    with caplog.at_level(logging.WARNING):
        flawmap.Inspector.load(run)
    (warning,) = caplog.messages
    assert "gives slightly other pixels" in warning
    assert f"flawmap calibrate {run}" in warning
    caplog.clear()
    flawmap.calibrate(run, [images])
    flawmap.Inspector.load(run)
    assert not any("other pixels" in line for line in caplog.messages)
    assert read_manifest(run).decoder == other
