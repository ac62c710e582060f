"""The manifest's file: what is written can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle import manifest as module
from flawmap.inspection.bundle.manifest import MANIFEST, read_manifest
from flawmap.inspection.bundle.saving import save_manifest


def test_a_manifest_too_large_to_be_read_is_not_written(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in run_copy.iterdir()}
    manifest = read_manifest(run_copy)
    monkeypatch.setattr(module, "MOST_BYTES", len(before[run_copy / MANIFEST]) - 1)
    with pytest.raises(FlawmapError, match=r"would take .* MiB: .* with fewer images"):
        save_manifest(run_copy, manifest)
    assert {path: path.read_bytes() for path in run_copy.iterdir()} == before


def test_a_file_too_large_has_no_wrong_permissions(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2**10)
    with pytest.raises(FlawmapError, match="is too large") as caught:
        read_manifest(run_copy)
    assert "permissions" not in str(caught.value)


def test_hundreds_of_thousands_of_images_fit(tiny_run: Path) -> None:
    manifest = read_manifest(tiny_run)
    count = 400_000
    scores = tuple(0.12345678955316544 + index * 1e-9 for index in range(count))
    digests = tuple(f"{index:064x}" for index in range(count))
    many = {"scores": scores, "peaks": scores, "images": digests}
    calibration = manifest.calibration.model_copy(update=many)
    data = module.encode_manifest(manifest.model_copy(update={"calibration": calibration}))
    assert len(data) <= module.MOST_BYTES
