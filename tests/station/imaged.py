"""Parts with a stored image and map, for tests of pages that show them."""

from __future__ import annotations

import hashlib

import numpy as np

from flawmap.data.image_io.images import encode_png
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters
from flawmap.station.context import Station
from flawmap.station.database.tables import Part, SettingsVersion
from flawmap.station.database.tables.base import now
from flawmap.station.insight.versions import Settings
from station.filling import MODEL, SETTINGS, add_product


def add_imaged(
    station: Station,
    *,
    seed: int = 0,
    verdict: str = "good",
    number: str | None = None,
    size: tuple[int, int] = (48, 64),
    map_size: tuple[int, int] = (32, 32),
    data: bytes | None = None,
    suffix: str = ".png",
) -> int:
    """Store a part of the product "board" with an image of `size` (H, W); return its id.

    `data`: the image's bytes, by default a PNG of noise from `seed`. The map is 1 in a square and
    0.1 elsewhere.
    """
    rng = np.random.default_rng(seed)
    if data is None:
        data = encode_png(rng.integers(0, 256, (*size, 3), np.uint8))
    digest = hashlib.sha256(data).hexdigest()
    anomaly_map = np.full(map_size, 0.1, np.float32)
    anomaly_map[8:16, 8:16] = 1.0
    station.files.put_image(digest, suffix, data)
    map_bytes = station.files.put_map(digest, MODEL, anomaly_map)
    product_id = add_product(station.database)
    defect = {"box": [16, 12, 16, 12], "area": 192, "peak": 1.0, "length": 20.0, "mean": 1.0}
    record = {
        "format": 1,
        "score": 0.9,
        "p_value": 0.01,
        "verdict": verdict,
        "defects": [] if verdict == "good" else [defect],
        "run": MODEL[:16],
        "model": MODEL,
        "settings": SETTINGS,
        "precision": "float32",
        "backend": "onnxruntime",
        "device": "cpu",
    }
    part = Part(
        product_id=product_id,
        received_at=now(),
        number=number,
        line="line 1",
        source="http",
        fields={"shift": "early"},
        verdict=verdict,
        score=0.9,
        p_value=0.01,
        defects=len(record["defects"]),
        record=record,
        model=MODEL,
        settings=SETTINGS,
        image=digest,
        suffix=suffix,
        bytes=len(data),
        height=size[0],
        width=size[1],
        has_image=True,
        has_map=True,
        map_bytes=map_bytes,
        waited_ms=1.0,
        total_ms=12.0,
        reviewers=0,
    )
    with station.database.write() as session:
        session.add(part)
    return part.id


def add_version(station: Station, part_id: int, number: int) -> Calibration:
    """Store the version of the settings that judged a part; return its thresholds."""
    scores = np.linspace(0.01, 0.6, 40)
    calibration = Calibration.from_scores(scores.tolist(), (scores / 2).tolist(), review=0.2)
    settings = Settings(
        calibration=calibration,
        exports={},
        models={},
        decoder=None,
        filters=Filters(),
        region=None,
        ids={"": SETTINGS},
    )
    with station.database.write() as session:
        session.add(
            SettingsVersion(
                product_id=session.get_one(Part, part_id).product_id,
                number=number,
                settings=SETTINGS,
                model=MODEL,
                values=settings.model_dump(mode="json"),
                created_at=now(),
            )
        )
    return calibration
