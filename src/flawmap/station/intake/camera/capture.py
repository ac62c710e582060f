"""Reading of images from a camera or a video file by OpenCV."""

from __future__ import annotations

from typing import Any

from flawmap.errors import FlawmapError
from flawmap.station.intake.camera.where import Camera

_PNG_LEVEL = 1  # fast: the file is kept, and a disk is cheaper than the time
_TIMEOUT = 5000  # milliseconds until a network camera counts as lost


class CameraError(FlawmapError):
    """A camera that cannot be opened, or brings no more images."""


class Capture:
    """An open camera. Raises CameraError if it cannot be opened."""

    def __init__(self, camera: Camera) -> None:
        self._cv2 = cv2 = _opencv()
        if camera.where.isdigit():
            self._video = cv2.VideoCapture(int(camera.where))
        elif camera.is_file:
            self._video = cv2.VideoCapture(camera.where)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT]
            self._video = cv2.VideoCapture(camera.where, cv2.CAP_FFMPEG, limits)
        if not self._video.isOpened():
            raise CameraError(f"It cannot be opened: {camera.address}.")
        self._video.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the present image, not one of before

    @property
    def rate(self) -> float:
        """Images per second of a video file; 25 if it does not say."""
        return float(self._video.get(self._cv2.CAP_PROP_FPS)) or 25.0

    def skip(self) -> bool:
        """Wait for the next image; return whether there is one."""
        return bool(self._video.grab())

    def png(self) -> bytes:
        """Return the image that was waited for, as a PNG file. Raises CameraError."""
        good, pixels = self._video.retrieve()
        if not good:
            raise CameraError("An image could not be decoded.")
        options = [self._cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
        good, file = self._cv2.imencode(".png", pixels, options)
        if not good:
            raise CameraError("An image could not be written as PNG.")
        return bytes(file)

    def close(self) -> None:
        """Release the camera."""
        self._video.release()


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise CameraError("Cameras need OpenCV: pip install 'flawmap[camera]'") from error
    return cv2
