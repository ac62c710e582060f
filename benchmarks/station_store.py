"""Speed of a station's store with many parts: searches, exports, storing, retention.

``python benchmarks/station_store.py`` fills SQLite with 1,000,000 parts (``--parts``), a share of
them reviewed, and measures over HTTP without a network: a mix of the list page's searches and of
those that only the API has, each several times; without HTTP: exports of all parts, with the
memory they take; storing in transactions of one and of eight parts; and the looks of retention.
The rows have no files. Trends are measured by station_whatif.py. It writes
``benchmarks/results/station_store.json``.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from record import ROOT, write_result
from sqlalchemy import update

sys.path.insert(0, str(ROOT / "tests"))
from flawmap.inspection.record import InspectionRecord
from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.database.tables.base import now
from flawmap.station.parts.export.coco import coco_text
from flawmap.station.parts.export.rows import ids_of
from flawmap.station.parts.export.table import csv_lines, parquet_bytes
from flawmap.station.parts.filters import PartFilter
from flawmap.station.parts.write import NewPart
from flawmap.station.retention.preview import preview
from flawmap.station.retention.service import Retention
from flawmap.station.retention.settings import RetentionSettings, write_settings
from station.filling import MODEL, SETTINGS, add_login, fill

SEARCHES = {
    "newest": "",
    "rejected": "verdict=reject",
    "rejected or failed, of a line": "verdict=reject&verdict=error&line=line 1",
    "not reviewed, doubtful": "verdict=review&decision=open",
    "overruled": "verdict=reject&decision=good",
    "one part": "number=SN-1-0000500",
    "numbers that begin alike": "number=SN-1-00005",
    "all numbers": "number=SN-",
    "of a line, last day": "line=line 2&within=24h",
    "unknown line": "product=board&line=line 9",
    "scores in a range": "score_from=0.2&score_to=0.25",
    "scores that none has": "product=board&score_from=0.99",
    "large defects": "verdict=reject&area_from=3990",
}
ONLY_API = {
    "highest scores": "order=highest",
    "lowest scores of rejected": "order=lowest&verdict=reject",
    "an image of a product": f"product=1&image={77:064x}",
    "unknown source": "source=camera:9",
    "reviewed by": "reviewer=1",
    "p-values that few have": "highest_p=0.001",
    "a field that most have": "field=shift=early",
    "a field that none has": "field=lot=9",
}
TIMES = 15  # of each search
EXPORTS = {"csv": csv_lines, "parquet": parquet_bytes, "coco": coco_text}
_MEGABYTE = 1_000_000


def logged_in(station: Station, app: Any) -> TestClient:
    """Return a client of an operator."""
    cookie, csrf = add_login(station.database, "operator")
    client = TestClient(app, "http://127.0.0.1", headers={"X-CSRF-Token": csrf})
    client.cookies.set("flawmap_session", cookie)
    return client


def review(station: Station) -> None:
    """Let reviewers decide on one rejected part of three, and overrule one of 30."""
    with station.database.write() as session:
        for every, decision in ((3, "reject"), (30, "good")):
            chosen = (Part.verdict == "reject", Part.id % every == 0)
            session.execute(update(Part).where(*chosen).values(decision=decision, reviewers=1))


def search_times(client: TestClient, searches: dict[str, str]) -> dict[str, Any]:
    """Return the times of all searches, in ms: of each its median, and p95 of the mix."""
    taken: dict[str, list[float]] = {}
    for name, query in searches.items():
        for _ in range(TIMES):
            begun = time.perf_counter()
            answer = client.get(query, headers={"HX-Request": "true"})
            taken.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
            assert answer.status_code == 200, answer.text
    mix = [one for times in taken.values() for one in times]
    return {
        "requests": len(mix),
        "median_ms": round(float(np.median(mix)), 1),
        "p95_ms": round(float(np.quantile(mix, 0.95)), 1),
        "highest_ms": round(max(mix), 1),
        "medians_ms": {name: round(float(np.median(one)), 1) for name, one in taken.items()},
    }


def export(database: Database, name: str) -> dict[str, float]:
    """Return how fast all parts are exported, and what memory that takes at most."""
    begun, before = time.perf_counter(), _resident()
    first, size, highest = 0.0, 0, before
    ids = ids_of(database, PartFilter())
    for piece in EXPORTS[name](database, ids):
        first = first or time.perf_counter() - begun
        size, highest = size + len(piece), max(highest, _resident())
    seconds = time.perf_counter() - begun
    return {
        "rows": len(ids),
        "rows_per_second": round(len(ids) / seconds),
        "megabytes": round(size / _MEGABYTE, 1),
        "first_piece_seconds": round(first, 2),
        "more_memory_megabytes": round((highest - before) / _MEGABYTE, 1),
    }


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def store_rate(station: Station, together: int, transactions: int = 200) -> float:
    """Return how many parts without an image are stored each second, so many together."""
    record = InspectionRecord(
        score=0.1, p_value=0.5, verdict="good", defects=(), milliseconds=12.0, run=MODEL[:16],
        precision="float32", backend="onnxruntime", device="cpu", model=MODEL, settings=SETTINGS,
    )  # fmt: skip
    begun = time.perf_counter()
    for number in range(transactions):
        part = NewPart(1, record, b"", ".png", now(), "http", number=f"new {number}", line="line 1")
        station.writer.store([part] * together)
    return round(transactions * together / (time.perf_counter() - begun))


def retention_times(station: Station) -> dict[str, float]:
    """Return the milliseconds of retention's looks, as if all parts had an image."""
    with station.database.write() as session:
        stored = {"has_image": True, "has_map": True, "map_bytes": 60_000}
        session.execute(update(Part).values(stored))
    found = {}
    for name, settings in {
        "one_batch_by_age_ms": RetentionSettings(good_days=1),
        "one_batch_by_size_ms": RetentionSettings(megabytes=1),
        "nothing_to_remove_ms": RetentionSettings(good_days=36_500, megabytes=10**9),
    }.items():
        with station.database.write() as session:
            write_settings(session, settings)
        service, begun = Retention(station.database, station.files), time.perf_counter()
        service.remove_some()
        found[name] = round(1000 * (time.perf_counter() - begun), 1)
    with station.database.read() as session:
        begun = time.perf_counter()
        preview(session, RetentionSettings(good_days=7))
        found["preview_ms"] = round(1000 * (time.perf_counter() - begun), 1)
    return found


def measure(folder: Path, parts: int) -> dict[str, Any]:
    """Measure a station with `parts` parts."""
    app = create_app(StationConfig(data=folder))
    station: Station = app.state.station
    begun = time.perf_counter()
    fill(station.database, parts)
    seconds = time.perf_counter() - begun  # the rows are made meanwhile
    review(station)
    client = logged_in(station, app)
    size = sum(path.stat().st_size for path in folder.glob("*.sqlite*"))
    pages = {name: f"/parts?{query}" for name, query in SEARCHES.items()}
    calls = {name: f"/api/v1/parts?{query}" for name, query in ONLY_API.items()}
    result = {
        "parts": parts,
        "database_megabytes": round(size / _MEGABYTE),
        "insert_rows_per_second": round(parts / seconds),
        "searches": search_times(client, pages),
        "searches_of_the_api": search_times(client, calls),
        "exports": {name: export(station.database, name) for name in EXPORTS},
        "stored_per_second": {f"{n} together": store_rate(station, n) for n in (1, 8)},
        "retention": retention_times(station),
    }
    station.database.close()
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder) / "station", parser.parse_args().parts)
    write_result("station_store", **result)


if __name__ == "__main__":
    main()
