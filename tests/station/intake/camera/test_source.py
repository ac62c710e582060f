"""Cameras: a video that OpenCV wrote, triggers, a full queue, and a camera that comes back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from flawmap.errors import UsageError
from flawmap.station.database.tables import AuditEntry, SourceSettings
from flawmap.station.intake.camera import capture, source
from flawmap.station.intake.sources import sources_of
from flawmap.station.intake.submission import BusyError
from station.inspecting import Inspecting, add_key, inspecting, wait_until

FRAMES = 12


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of noise, ten a second."""
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    path = tmp_path_factory.mktemp("video") / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (64, 48))
    for i in range(FRAMES):
        writer.write(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    return path


class Device:
    """What stands for OpenCV's capture of a device: it brings images until it is unplugged."""

    plugged = threading.Event()

    def __init__(self, _camera: Any) -> None:
        self._closed = False
        if not self.plugged.is_set():
            raise capture.CameraError("It cannot be opened: device 0.")

    def skip(self) -> bool:
        self.plugged.wait(0.01)
        return self.plugged.wait(0.001)

    def png(self) -> bytes:
        from station.inspecting import draw_png

        return draw_png(1)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    """A device that is plugged in."""
    monkeypatch.setattr(source, "Capture", Device)
    monkeypatch.setattr(source, "FIRST", 0.02)
    Device.plugged.set()
    return Device


def add(line: Inspecting, /, **settings: Any) -> dict[str, Any]:
    """Add a camera by the API."""
    line.client.headers.update(add_key(line.station, "inspect read manage"))
    product = next(iter(line.intake.products)).id
    asked = {"name": "top", "product": product, "where": "0", **settings}
    answer = line.client.post("/api/v1/sources", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def state(line: Inspecting) -> dict[str, Any]:
    return dict(line.client.get("/api/v1/sources").json()[0])


def test_a_video_is_inspected_once_an_image_a_second_also_after_a_restart(
    tiny_run: Path, tmp_path: Path, video: Path
) -> None:
    places = {"camera": (f"board={video}",)}
    for _ in range(2):
        with inspecting(tmp_path / "data", f"board={tiny_run}", **places) as line:
            wait_until(lambda line=line: state(line)["problem"] == "The video file has ended.")
            wait_until(lambda line=line: line.intake.waiting == 0)
            parts = line.parts()
            assert [part.source for part in parts] == ["camera:belt.avi"] * 2
            assert [part.key for part in parts] == ["camera:1:0", "camera:1:10"]
            assert {(part.width, part.height, part.suffix) for part in parts} == {(64, 48, ".png")}
            assert all(part.verdict for part in parts)


def test_a_trigger_is_answered_with_its_verdict(
    tiny_run: Path, tmp_path: Path, device: type[Device]
) -> None:
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        made = add(line, take="trigger", line="two")
        path = f"/api/v1/sources/{made['id']}/trigger"
        answer = line.client.post(path, json={"number": "SN 7"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["verdict"] is not None
        assert line.client.post(path).status_code == 200
        first = line.parts()[0]
        assert (first.number, first.line, first.source) == ("SN 7", "two", "camera:top")
        assert len(line.parts()) == 2  # nothing without a trigger
        assert line.client.post("/api/v1/sources/99/trigger").status_code == 404


def test_a_lost_camera_is_named_and_opened_again(
    tiny_run: Path, tmp_path: Path, device: type[Device]
) -> None:
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        made = add(line, interval=0.02)
        wait_until(line.parts)
        device.plugged.clear()
        wait_until(lambda: state(line)["problem"])
        device.plugged.set()
        count = len(line.parts())
        wait_until(lambda: len(line.parts()) > count)
        wait_until(lambda: state(line)["problem"] is None)
        assert line.client.post(f"/api/v1/sources/{made['id']}/trigger").status_code == 409


def test_images_that_the_full_queue_does_not_take_are_counted(
    tiny_run: Path, tmp_path: Path, device: type[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_submission: Any) -> None:
        raise BusyError("The queue is full.")

    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        monkeypatch.setattr(line.intake, "submit", full)
        add(line, interval=0.02)
        wait_until(lambda: state(line)["dropped"] > 2)
        assert 'flawmap_source_dropped_frames{source="top"}' in line.client.get("/metrics").text


def test_no_request_names_a_path_and_no_password_is_shown(
    tiny_run: Path, tmp_path: Path, device: type[Device]
) -> None:
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        add(line, where="rtsp://user:word@camera/1?token=x")
        for where in ("/etc/passwd", "file:///etc/passwd", "rtsp://", "99", "-1", "concat:a"):
            asked = {"name": "x", "product": 1, "where": where}
            assert line.client.post("/api/v1/sources", json=asked).status_code == 422, where
        assert "word" not in line.client.get("/api/v1/sources").text
        with line.station.database.read() as session:
            assert len(session.scalars(select(SourceSettings)).all()) == 1
            entry = session.scalars(
                select(AuditEntry).where(AuditEntry.action == "source.create")
            ).one()
        assert entry.details["where"] == "rtsp://camera/1"


def test_without_opencv_the_problem_names_the_extra(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with inspecting(tmp_path / "data", f"board={tiny_run}", camera=("0",)) as line:
        wait_until(lambda: state(line)["problem"])
        assert "pip install 'flawmap[camera]'" in state(line)["problem"]
        assert sources_of(line.station).dropped() == {"device 0": 0}


def test_wrong_cameras_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="a video file that exists"),
        inspecting(tmp_path / "data", f"board={tiny_run}", camera=("board=none.mp4",)),
    ):
        pass
