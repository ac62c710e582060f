"""Images and maps on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawmap.errors import FlawmapError
from flawmap.station.parts.files import FileStore, decode_map, encode_map


@pytest.mark.parametrize("top", [0.0, 1e-4, 0.9, 37.0])
def test_a_map_comes_back_within_half_a_level(top: float) -> None:
    anomaly_map = np.random.default_rng(0).random((33, 57), np.float32) * np.float32(top)
    found = decode_map(encode_map(anomaly_map))
    assert found.shape == anomaly_map.shape
    assert np.abs(found - anomaly_map).max() <= 0.51 * top / 65535


def test_a_damaged_map_is_refused(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.put_map("ab" * 32, "cd" * 32, np.ones((4, 4), np.float32))
    store.map_path("ab" * 32, "cd" * 32).write_bytes(b"\x89PNG")
    with pytest.raises(FlawmapError, match="Cannot read the map"):
        store.read_map("ab" * 32, "cd" * 32)
