"""The resizing of the C++ program is Pillow's; the rest of it needs ONNX Runtime's headers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from languages.pictures import EXAMPLES, check_resizing

PROGRAM = """
#include <cstdio>
#include "resize.hpp"

int main() {
    flawmap::Image from;
    int height, width;
    while (std::scanf("%d %d %d %d:", &from.height, &from.width, &height, &width) == 4) {
        from.pixels.resize(static_cast<std::size_t>(from.height) * from.width * 3);
        const std::size_t count = std::fread(from.pixels.data(), 1, from.pixels.size(), stdin);
        if (count != from.pixels.size()) return 1;
        const flawmap::Image into = flawmap::resize(from, height, width);
        std::fwrite(into.pixels.data(), 1, into.pixels.size(), stdout);
    }
}
"""


def test_its_resizing_is_pillows_to_the_bit(tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed")
    (tmp_path / "main.cpp").write_text(PROGRAM, encoding="utf-8")
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{EXAMPLES / 'cpp'}"]
    subprocess.run([compiler, *flags, "main.cpp", "-o", "resize"], cwd=tmp_path, check=True)

    def resizer(images: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> list[bytes]:
        height, width = size
        jobs = [b"%d %d %d %d:" % (*one.shape[:2], height, width) + one.tobytes() for one in images]
        done = subprocess.run(
            [tmp_path / "resize"], input=b"".join(jobs), capture_output=True, check=True
        )
        one = height * width * 3
        return [done.stdout[at : at + one] for at in range(0, len(done.stdout), one)]

    check_resizing(resizer)
