"""Heat maps of stored parts as PNG images that browsers lay over the part's image."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.station.web.parts.thumbnails import fitted
from flawmap.visualization.colour import heat_levels, heatmap

LARGEST = 1024  # pixels of the longer side: more show nothing that the map knows


def heat_png(
    anomaly_map: NDArray[np.float32], threshold: float, size: tuple[int, int], side: int = LARGEST
) -> bytes:
    """Return a map (h, w) in heat colours, in the proportions of its image of `size` (H, W).

    Half of the scale is the pixel threshold, as in reports. Opacity rises with the square of the
    value up to the threshold, so that what is quiet shows the image unchanged. A palette of 256
    colours with opacity keeps the file small.
    """
    levels = Image.fromarray(heat_levels(anomaly_map, threshold))
    height, width = fitted(size, side)
    if levels.size != (width, height):
        levels = levels.resize((width, height), Image.Resampling.BILINEAR)
    ramp = np.arange(256, dtype=np.float32)
    image = Image.fromarray(np.asarray(levels))
    image.putpalette(heatmap(ramp[None], 0.0, 255.0)[0].tobytes())
    opacity = np.rint(255 * np.clip(ramp / 127.5, 0.0, 1.0) ** 2).astype(np.uint8)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=opacity.tobytes())
    return file.getvalue()
