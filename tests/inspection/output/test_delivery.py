"""Each image's line is given once, whenever the program is asked to stop."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.delivery import Delivery
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.record import InspectionRecord


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_line_that_is_being_given_is_given_once(
    tiny_run, images: Path, tmp_path: Path, when: str, pictures: bool
) -> None:
    inspector = Inspector.load(tiny_run, threads=1)
    given: list[InspectionRecord] = []
    shown: list[InspectionRecord] = []

    def give(record: InspectionRecord) -> None:
        if when == "before" and len(given) == 1:
            signal.raise_signal(signal.SIGINT)
        given.append(record)
        if when == "after" and len(given) == 2:
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "out" if pictures else None
    if folder is not None:
        folder.mkdir()
    paths = sorted(images.rglob("*.png"))
    results = list(inspect_files(inspector, paths, 1, keep_images=pictures))

    def deliver() -> None:
        with Delivery(inspector.manifest, folder, give, show=shown.append) as delivery:
            for path, result in zip(paths, results, strict=True):
                delivery.add(result, path.stem)

    with pytest.raises(KeyboardInterrupt):
        deliver()
    names = [record.path for record in given]
    assert len(names) >= 2
    assert names == [str(path) for path in paths[: len(names)]]
    assert shown == given
    if folder is not None:
        assert len(list(folder.glob("*_overlay.png"))) == len(given)
