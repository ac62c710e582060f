"""Speed of a station's store with many parts: searches of the list page, export, insertion.

``python benchmarks/station_store.py`` fills SQLite with 1,000,000 parts (``--parts``), a share of
them reviewed, measures a mix of the list page's searches over HTTP without a network, each several
times, the CSV export, and how fast rows are stored. Trends are measured by station_whatif.py. It
writes ``benchmarks/results/station_store.json``.
"""

from __future__ import annotations

import argparse
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
from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from station.filling import add_login, fill

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
TIMES = 15  # of each search


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


def search_times(client: TestClient) -> dict[str, Any]:
    """Return the times of all searches, in ms: of each its median, and p95 of the mix."""
    taken: dict[str, list[float]] = {}
    for name, query in SEARCHES.items():
        for _ in range(TIMES):
            begun = time.perf_counter()
            answer = client.get(f"/parts?{query}", headers={"HX-Request": "true"})
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


def export_rate(client: TestClient) -> dict[str, float]:
    """Return how fast the rejected parts are exported as CSV."""
    begun = time.perf_counter()
    rows = client.get("/api/v1/parts/export.csv?verdict=reject").text.count("\r\n") - 1
    seconds = time.perf_counter() - begun
    return {"rows": rows, "rows_per_second": round(rows / seconds)}


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
    result = {
        "parts": parts,
        "database_megabytes": round(size / 1e6),
        "insert_rows_per_second": round(parts / seconds),
        "searches": search_times(client),
        "csv": export_rate(client),
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
