"""Points of a curve that grows without end, thinned so that a page can draw it."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 600


class Curve:
    """Pairs of a moment and a value: every `stride`-th of those that came, and the last one."""

    def __init__(self) -> None:
        self.stride, self._count = 1, 0
        self.points: list[tuple[int, float]] = []
        self.last: tuple[int, float] | None = None

    def extend(self, moments: Sequence[int], values: Sequence[float]) -> None:
        """Add pairs, in the order of time."""
        for index in range(-self._count % self.stride, len(values), self.stride):
            self.points.append((int(moments[index]), round(float(values[index]), 4)))
        self._count += len(values)
        if len(values):
            self.last = int(moments[len(values) - 1]), round(float(values[-1]), 4)
        while len(self.points) > _MOST:
            self.points = self.points[::2]
            self.stride *= 2

    def drawn(self) -> list[tuple[int, float]]:
        """Return the points to draw."""
        if self.last is None or (self.points and self.points[-1][0] == self.last[0]):
            return list(self.points)
        return [*self.points, self.last]

    def to_dict(self) -> dict[str, object]:
        """Return JSON types for :meth:`from_dict`."""
        return {
            "stride": self.stride,
            "count": self._count,
            "points": [list(point) for point in self.points],
            "last": None if self.last is None else list(self.last),
        }

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Curve:
        """Return the curve that :meth:`to_dict` described."""
        curve = cls()
        curve.stride, curve._count = int(str(values["stride"])), int(str(values["count"]))
        curve.points = [(int(at), float(value)) for at, value in values["points"]]  # type: ignore[attr-defined]
        last = values["last"]
        curve.last = None if last is None else (int(last[0]), float(last[1]))  # type: ignore[index]
        return curve
