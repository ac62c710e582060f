"""What is optional is named when it is needed and missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap import FlawmapError


@pytest.mark.parametrize(
    ("package", "options"),
    [
        ("ray", {"on": "ray"}),
        ("pyarrow.parquet", {"parquet": "results"}),
        ("fsspec", {"lists": ["s3://bucket/list.txt"]}),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    package: str,
    options: dict[str, Any],
    run_copy: Path,
    twelve: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FlawmapError, match=r"pip install 'flawmap\[cluster\]'"):
        flawmap.predict(run_copy, [twelve], **options)
    assert not Path("results").exists()
