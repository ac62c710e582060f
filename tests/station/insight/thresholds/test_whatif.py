"""What-if: the same verdicts as `flawmap judge` gives with these settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.inspection.rejudge import judge
from flawmap.station.context import Station
from flawmap.station.insight.thresholds.kept import StoredCache
from flawmap.station.insight.thresholds.maps import MapMeasures
from flawmap.station.insight.thresholds.proposal import Proposal
from flawmap.station.insight.thresholds.stored import VERDICTS, StoredParts, load
from flawmap.station.insight.thresholds.whatif import (
    EXCLUDED,
    UNDECIDED,
    WhatIf,
    changed,
    counts,
    what_if,
)
from station.insight.conftest import (
    Inspect,
    all_parts,
    draw_map,
    export_lines,
    note_now,
    set_manifest,
)

LOW, HIGH = {"false_reject": 0.02, "review": 0.1}, {"false_reject": 0.2, "review": 0.5}
PROPOSALS = {
    "same": {},
    "fewer": {"rates": LOW},
    "more": {"rates": HIGH},
    "by hand": {"values": {"reject": 0.45, "review": 0.31}},
    "area": {"filters": {"min_area": 40.5}},
    "area, on a limit": {"filters": {"min_area": 15.0}},
    "peak": {"filters": {"min_peak": 0.5}},
    "all, fewer": {"rates": LOW, "filters": {"min_area": 60, "min_peak": 0.4}},
    "all, more": {"rates": HIGH, "filters": {"min_area": 60, "merge_distance": 25}},
    "peak, more": {"rates": HIGH, "filters": {"min_peak": 0.37}},
    "merge": {"filters": {"min_area": 90, "merge_distance": 40}},
}
FILTERS = {
    "none": {},
    "area": {"filters": {"min_area": 30.0}},
    "strict": {"filters": {"min_area": 100.0, "min_peak": 0.6, "merge_distance": 12.0}},
}


def asked(
    station: Station, run: Path, stored: StoredParts, values: object, seconds: float = 60.0
) -> WhatIf:
    maps = MapMeasures(station.database, station.files, run)
    manifest = Proposal.model_validate(values).apply(read_manifest(run))
    with station.database.read() as session:
        return what_if(session, stored, manifest, maps, seconds)


def judged_so(run: Path, values: object, lines: Path, ids: list[int]) -> dict[int, str | None]:
    """Verdict by part of the verb, on records and maps that were exported."""
    before = read_manifest(run)
    write_manifest(run, Proposal.model_validate(values).apply(before))
    records = judge(run, lines)
    write_manifest(run, before)
    return {id: one.verdict for id, one in zip(ids, records, strict=True)}


def verdicts(stored: StoredParts, result: WhatIf) -> dict[int, str]:
    found = zip(stored.id.tolist(), result.verdict.tolist(), strict=True)
    return {id: VERDICTS[code] for id, code in found}


@pytest.mark.parametrize("filters", FILTERS)
def test_the_verdicts_are_those_of_judge(
    station: Station, board: int, run: Path, inspect: Inspect, tmp_path: Path, filters: str
) -> None:
    """For parts that were judged without filters, with some, and with strict ones."""
    set_manifest(run, Proposal.model_validate(FILTERS[filters]).apply)
    inspect(range(3))  # with a version of settings that the station has not noted
    note_now(station, board, run)
    inspect(range(100, 170))
    lines, ids = export_lines(station, tmp_path / "exported")
    with station.database.read() as session:
        stored = load(session, all_parts(board))
    for name, values in PROPOSALS.items():
        result = asked(station, run, stored, values)
        assert verdicts(stored, result) == judged_so(run, values, lines, ids), name
        assert (result.waiting, result.without_map, result.excluded) == (0, 0, 0)


def test_only_maps_that_must_be_read_are(
    station: Station, board: int, run: Path, inspect: Inspect
) -> None:
    """Tighter filters need no map at all; other pixel thresholds need some."""
    inspect(range(200))
    with station.database.read() as session:
        stored = load(session, all_parts(board))
    for name in ("same", "fewer", "by hand", "area", "peak"):
        assert asked(station, run, stored, PROPOSALS[name], 0.0).waiting == 0, name
    values = PROPOSALS["all, fewer"]
    waiting = asked(station, run, stored, values, 0.0)
    assert 0 < waiting.waiting < 30
    assert np.count_nonzero(waiting.verdict == UNDECIDED) == waiting.waiting
    assert asked(station, run, stored, values).waiting == 0
    other = {"rates": LOW, "filters": {"min_area": 80, "min_peak": 0.1}}
    assert asked(station, run, stored, other, 0.0).waiting == 0, "regions of maps are kept"


def test_a_part_without_its_map_stays_open(
    station: Station, board: int, run: Path, inspect: Inspect
) -> None:
    inspect(range(40))
    for path in (station.files.folder / "maps").rglob("*.png"):
        path.unlink()
    with station.database.read() as session:
        stored = load(session, all_parts(board))
    values = {"rates": LOW, "filters": {"min_area": 15}}
    missing = asked(station, run, stored, values, 0.0).waiting
    result = asked(station, run, stored, values)
    assert missing > 0
    assert asked(station, run, stored, values).without_map == missing
    assert np.count_nonzero(result.verdict == UNDECIDED) == missing


def test_scores_of_another_model_are_left_out(
    station: Station, board: int, run: Path, inspect: Inspect
) -> None:
    inspect(range(5))
    files = {"model.onnx": "12" * 32}
    set_manifest(run, lambda manifest: manifest.model_copy(update={"files": files}))
    inspect(range(5, 12))
    with station.database.read() as session:
        stored = load(session, all_parts(board))
    result = asked(station, run, stored, {})
    assert result.excluded == 5
    assert sum(map(sum, counts(stored, result))) == 7
    assert np.count_nonzero(result.verdict != EXCLUDED) == 7


def test_counts_and_changed_parts_agree(
    station: Station, board: int, run: Path, inspect: Inspect
) -> None:
    inspect(range(200))
    with station.database.read() as session:
        stored = StoredCache().get(session, all_parts(board))
    result = asked(station, run, stored, PROPOSALS["more"])
    table = np.array(counts(stored, result))
    moved = changed(stored, result)
    assert table.sum() == 200
    assert len(moved) == table.sum() - np.trace(table[:, :3]) > 0
    steps = np.abs(result.verdict[moved].astype(int) - stored.verdict[moved])
    assert (np.diff(steps) <= 0).all()


def test_what_16_bits_can_change(
    station: Station, board: int, run: Path, inspect: Inspect, tmp_path: Path
) -> None:
    """Stored values differ by half a level at most: only parts that close to a limit may differ."""
    parts = inspect(range(60))
    half = {}
    for seed, part in enumerate(parts):
        exact, kept = draw_map(seed), station.files.read_map(part.image or "", part.model)
        half[part.id] = float(exact.max()) / 131070 + 1e-7  # and float32's own rounding
        assert 0.0 < np.abs(exact - kept).max() <= half[part.id]
    with station.database.read() as session:
        stored = load(session, all_parts(board))
    lines, ids = export_lines(station, tmp_path / "exported")
    peaks = {one.id: float(draw_map(seed).max()) for seed, one in enumerate(parts)}
    flagged = [one.id for one in parts if one.verdict != "good" and one.defects]
    for id in flagged[:12]:  # the limit is exactly the peak of a part
        values = {"filters": {"min_peak": peaks[id]}}
        exact_so = verdicts(stored, asked(station, run, stored, values, 0.0))
        kept_so = judged_so(run, values, lines, ids)
        assert exact_so[id] != "good"
        for other in (one for one in ids if exact_so[one] != kept_so[one]):
            assert abs(peaks[other] - peaks[id]) <= half[other]
