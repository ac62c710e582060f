"""Scales, ticks and the frame of every chart, as inline SVG.

All functions return SVG as plain text; :func:`svg` alone marks a whole drawing as safe markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from flawmap.evaluation.report.numbers import short, without_controls

WIDTH, HEIGHT = 460, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 28, 48  # room for tick and axis labels


@dataclass(frozen=True)
class Scale:
    """Map of values low..high to pixels start..end; logarithmic if `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, rounded to a tenth; values outside are drawn at the edge."""
        low, high, value = self._way(self.low), self._way(self.high), self._way(value)
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Return round values inside the scale."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)

    def _way(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value


def scale_over(values: Sequence[float], start: float, end: float, log: bool = False) -> Scale:
    """Return a scale over the values with a small margin, even if all of them are equal."""
    low, high = min(values), max(values)
    if log:
        return Scale(low / 1.15, high * 1.15, start, end, log=True)
    margin = (high - low) * 0.03 or abs(high) * 0.1 or 0.5
    return Scale(low - margin, high + margin, start, end)


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return ticks in steps of 1, 2 or 5 times a power of ten.

    >>> linear_ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * m for m in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten; also 2 and 5 times them if the scale spans two decades or less."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) <= 2.2 else (1,)
    stride = max(1, len(decades) // 6)
    ticks = [m * 10.0**d for d in decades[::stride] for m in steps]
    return [tick for tick in ticks if low <= tick <= high]


def frame(x: Scale, y: Scale, x_label: str, y_label: str) -> str:
    """Draw grid, ticks and axis labels."""
    parts = [_x_tick(x, y, value) for value in x.ticks()]
    parts += [_y_tick(x, y, value) for value in y.ticks()]
    parts.append(_line(x.start, y.start, x.end, y.start, "axis"))
    middle = (x.start + x.end) / 2
    parts.append(text(middle, HEIGHT - 8, x_label, "axis-label", "middle"))
    parts.append(text(x.start - 50, y.end - 13, y_label, "axis-label"))
    return "".join(parts)


def text(x: float, y: float, content: str, class_: str, anchor: str | None = None) -> str:
    """Draw a line of text at a point."""
    shown = escape(without_controls(content))
    return element("text", shown, x=round(x, 1), y=round(y, 1), class_=class_, text_anchor=anchor)


def vertical(x: Scale, y: Scale, value: float, class_: str) -> str:
    """Draw a line from bottom to top at a value."""
    return _line(x(value), y.start, x(value), y.end, class_)


def svg(title: str, *parts: str) -> Markup:
    """Return the whole drawing as safe markup; screen readers read its title."""
    named = element("title", escape(without_controls(title)))
    drawing = element(
        "svg",
        "".join([named, *parts]),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="chart",
    )
    return Markup(drawing)


def element(name: str, content: str = "", **attributes: object) -> str:
    """Return one element; ``content`` is SVG, or escaped text.

    `class_` means `class`, `data_x` means `data-x`; None leaves an attribute out.

    >>> element("text", escape("a < b"), class_="x")
    '<text class="x">a &lt; b</text>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{content}</{name}>"


def plot_scales(x_values: Sequence[float], y_values: Sequence[float], **log: bool) -> list[Scale]:
    """Return the two scales of a chart; `log_x`, `log_y` choose logarithms."""
    return [
        scale_over(x_values, LEFT, WIDTH - RIGHT, log.get("log_x", False)),
        scale_over(y_values, HEIGHT - BOTTOM, TOP, log.get("log_y", False)),
    ]


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _x_tick(x: Scale, y: Scale, value: float) -> str:
    line = vertical(x, y, value, "grid")
    return line + text(x(value), y.start + 18, short(value), "tick", "middle")


def _y_tick(x: Scale, y: Scale, value: float) -> str:
    line = _line(x.start, y(value), x.end, y(value), "grid")
    return line + text(x.start - 7, y(value) + 4, short(value), "tick", "end")
