"""Files without parts, such as after a kill, are removed; all others stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.retention.sweeping import Sweeper
from station.filling import MODEL
from station.imaged import add_imaged
from station.postgres import on_both


def files(station: Station) -> set[Path]:
    """All files of images and maps."""
    kinds = ("images", "maps", "thumbnails")
    return {path for kind in kinds for path in station.files.folder.glob(f"{kind}/*/*")}


@on_both
def test_only_old_files_that_no_part_names_are_removed(station: Station) -> None:
    ids = [add_imaged(station, seed=seed) for seed in range(12)]
    kept = files(station)
    with station.database.write() as session:  # as if killed before its files were removed
        gone = session.get_one(Part, ids[0])
        session.execute(update(Part).where(Part.id == gone.id).values(has_image=False))
        lost = {
            station.files.image_path(gone.image or "", ".png"),
            station.files.map_path(gone.image or "", MODEL),
        }
    for digits in ("00", "ff"):
        for name in (f"{digits}{'a' * 62}.png", ".~half-written"):
            path = station.files.folder / "images" / digits / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"nobody's")
            lost.add(path)
    young = station.files.image_path("7b" * 32, ".png")
    for path in files(station):
        os.utime(path, (0, time.time() - 7200))
    station.files.put_image("7b" * 32, ".png", b"on its way")
    assert lost < files(station)
    sweeper = Sweeper(station.database, station.files, wait=0.0)
    while sweeper.step():
        pass
    assert files(station) == kept - lost | {young}
    assert not sweeper.step()  # for a day


def test_the_files_of_another_database_stay(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(3):
        add_imaged(station, seed=seed)
    for path in files(station):
        os.utime(path, (0, time.time() - 7200))
    before = files(station)
    with station.database.write() as session:
        session.execute(update(Part).values(has_image=False))
    sweeper = Sweeper(station.database, station.files, wait=0.0)
    while sweeper.step():
        pass
    assert files(station) == before
    assert "6 of 6 files" in caplog.text
