"""Speed of the thresholds and trends pages of a station with many parts.

``python benchmarks/station_whatif.py`` fills a database with 1,000,000 parts (``--parts``), counts
them by the hour, and measures the what-if over 100,000 stored scores (``--scores``), over HTTP
without a network, and the trends of all parts. It writes
``benchmarks/results/station_whatif.json``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from record import write_result
from sqlalchemy import insert, select, update

from flawmap.inspection.bundle.manifest import (
    GRAPH,
    Manifest,
    Parity,
    Preprocessing,
    Teacher,
    Training,
    run_id,
    settings_id,
    write_manifest,
)
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters
from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import LoginSession, Model, Part, Product, User
from flawmap.station.database.tables.base import now
from flawmap.station.insight.versions import note
from flawmap.station.security.secrets import new_token, token_digest

MODEL = "ab" * 32
_BATCH = 20_000
_HOUR = 3_600_000_000


def manifest_of(filters: Filters) -> Manifest:
    """A run's manifest without a model, calibrated on 500 scores like those of the parts."""
    rng = np.random.default_rng(1)
    scores = rng.beta(2, 12, 500).tolist()
    peaks = [min(1.0, 1.3 * score) for score in scores]
    training = Training(
        data="parts", folder="parts", layout="folder", images=2000, held_out=500, skipped=0,
        fingerprint="", trained_on=(), rotation="none", rotation_reason="", textures="", seed=0,
        steps=2, device="cpu", precision="float32", seconds={},
    )  # fmt: skip
    return Manifest(
        method="destseg", preset="fast", configuration={}, training=training, versions={},
        files={GRAPH: MODEL}, preprocessing=Preprocessing(size=(256, 256)),
        calibration=Calibration.from_scores(scores, peaks, false_reject=0.02, review=0.1),
        teacher=Teacher(name="none", file="", sha256=""), filters=filters,
        parity=Parity(images=1, map=0.0, score=0.0, limit=1e-4),
    )  # fmt: skip


def fill(station: Station, run: Path, parts: int, *, spacing: int = 1_000_000) -> int:
    """Add a product and its parts, one each `spacing` microseconds until now; return its id."""
    run.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of(Filters(min_area=20.0))
    write_manifest(run, manifest)
    with station.database.write() as session:
        product = Product(name="board", created_at=now())
        session.add(product)
        session.flush()
        model = Model(
            product_id=product.id, run=run_id(manifest), folder=str(run), state="live",
            created_at=now(),
        )  # fmt: skip
        session.add(model)
        session.flush()
        product.model_id = model.id
        note(session, product, manifest)
    rng, start = np.random.default_rng(2), now() - parts * spacing
    indexes = list(Part.__table__.indexes)  # type: ignore[attr-defined]
    for index in indexes:  # made at the end: sooner than with each row
        index.drop(station.database.engine)
    for first in range(0, parts, _BATCH):
        count = min(_BATCH, parts - first)
        rows = [
            _row(manifest, product.id, start + (first + i) * spacing, first + i, rng)
            for i in range(count)
        ]
        with station.database.write() as session:
            session.execute(insert(Part), rows)
    for index in indexes:
        index.create(station.database.engine)
    return product.id


def _row(
    manifest: Manifest, product_id: int, at: int, index: int, rng: np.random.Generator
) -> dict[str, Any]:
    limits = manifest.calibration
    score = float(rng.beta(2, 12))
    verdict = limits.verdict(score)
    defects: list[dict[str, Any]] = []
    if score > limits.review.value:
        defects = [
            {
                "box": [3, 4, 30, 40], "area": int(rng.integers(20, 4000)), "length": 50.0,
                "peak": float(np.float32(min(1.0, 1.3 * score))), "mean": score,
            }
            for _ in range(int(rng.integers(1, 4)))
        ]  # fmt: skip
    record = {
        "format": 1, "run": MODEL[:16], "model": MODEL, "settings": settings_id(manifest),
        "precision": "float32", "backend": "onnxruntime", "device": "cpu", "score": score,
        "p_value": limits.p_value(score), "verdict": verdict, "defects": defects,
        "milliseconds": 12.0,
    }  # fmt: skip
    return {
        "key": None, "product_id": product_id, "received_at": at, "number": f"SN-{index:07}",
        "line": f"line {1 + index % 2}", "source": "http", "fields": {}, "verdict": verdict,
        "score": score, "p_value": record["p_value"], "defects": len(defects),
        "largest_area": max((one["area"] for one in defects), default=None), "error": None,
        "record": record, "model": MODEL, "settings": record["settings"],
        "image": f"{(index * 2654435761) % 2**32:08x}{index:056x}", "suffix": ".png",
        "bytes": 100_000, "width": 256, "height": 256, "has_image": False, "has_map": False,
        "note": None, "waited_ms": 1.0, "total_ms": float(rng.gamma(9, 1.6)), "decision": None,
        "decided_at": None, "decided_by": None, "reviewers": 0,
    }  # fmt: skip


def review(station: Station, share: float) -> None:
    """Let reviewers decide on a share of the parts: mostly those near the thresholds."""
    with station.database.write() as session:
        for verdict, decision, every in (
            ("reject", "reject", 1), ("review", "good", 2), ("good", "good", int(20 / share)),
        ):  # fmt: skip
            chosen = select(Part.id).where(Part.verdict == verdict, Part.id % every == 0)
            session.execute(
                update(Part)
                .where(Part.id.in_(chosen.limit(20_000)))
                .values(decision=decision, decided_at=now(), reviewers=1)
            )
        wrong = select(Part.id).where(Part.decision.is_not(None), Part.id % 17 == 0)
        session.execute(update(Part).where(Part.id.in_(wrong)).values(decision="good"))


def log_in(station: Station, app: Any) -> TestClient:
    """Return a client that is logged in as an engineer; its requests need no network."""
    cookie, csrf = new_token(), new_token()
    with station.database.write() as session:
        user = User(name="engineer", password="", role="engineer", created_at=now())
        session.add(user)
        session.flush()
        session.add(
            LoginSession(
                token=token_digest(cookie), user_id=user.id, csrf=csrf, created_at=now(),
                expires_at=now() + _HOUR,
            )
        )  # fmt: skip
    address = "http://127.0.0.1:8420"  # the station answers under its own names only
    client = TestClient(app, address, headers={"X-CSRF-Token": csrf})
    client.cookies.set("flawmap_session", cookie)
    return client


def timed(
    client: TestClient, path: str, params: dict[str, Any], times: int = 15
) -> dict[str, float]:
    """Return the time of the first request, and median and highest of those after, in ms."""
    taken = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        answer = client.get(path, params=params)
        taken.append(1000.0 * (time.perf_counter() - begun))
        assert answer.status_code == 200, answer.text
    rest = taken[1:]
    return {
        "first_ms": round(taken[0], 1),
        "median_ms": round(statistics.median(rest), 1),
        "highest_ms": round(max(rest), 1),
    }


def measure(folder: Path, parts: int, scores: int) -> dict[str, Any]:
    """Measure a station with `parts` parts."""
    app = create_app(StationConfig(data=folder / "station"))
    station: Station = app.state.station
    product = fill(station, folder / "run", parts)
    review(station, 0.05)
    services = {name: station.services[name] for name in ("hours", "drift")}
    follow = {}
    for name, service in services.items():
        begun = time.perf_counter()
        while service.step():  # type: ignore[attr-defined]
            pass
        follow[name] = round(time.perf_counter() - begun, 1)
    client = log_in(station, app)
    base = f"/api/v1/products/{product}"
    with station.database.read() as session:
        newest = select(Part.received_at).order_by(Part.received_at.desc())
        since = session.scalar(newest.offset(scores - 1).limit(1))
    end = now()
    chosen = {"start": since, "end": end}
    asked: dict[str, dict[str, Any]] = {
        "rates": {"false_reject": 0.05, "review": 0.2},
        "by_hand": {"reject_value": 0.31, "review_value": 0.2},
        "filters": {"min_area": 300.0, "min_peak": 0.3},
        "rates_and_filters": {"false_reject": 0.05, "review": 0.2, "min_peak": 0.4, "min_area": 0},
    }
    result: dict[str, Any] = {
        "parts": parts, "scores": scores, "catching_up_seconds": follow,
        "what_if": {}, "trends": {},
    }  # fmt: skip
    for name, values in asked.items():
        result["what_if"][name] = timed(client, f"{base}/what-if", chosen | values)
    page = {"product": "board"}
    result["thresholds_page"] = timed(client, "/thresholds", page | {"span": "24h"})
    for span in ("24h", "7d", "365d"):
        result["trends"][span] = timed(client, "/trends", page | {"span": span})
    station.database.close()
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=1_000_000)
    parser.add_argument("--scores", type=int, default=100_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), chosen.parts, chosen.scores)
    write_result("station_whatif", **result)


if __name__ == "__main__":
    main()
