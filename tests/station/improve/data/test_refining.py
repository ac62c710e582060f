"""What a refinement learns from: the plan, the way, and the data set on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flawmap.data.layouts.defects import open_defects
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, Part, Product
from flawmap.station.improve.data.known import known_by, made_of
from flawmap.station.improve.data.plan import Plan, make_plan
from flawmap.station.improve.data.way import choose_way
from flawmap.station.improve.data.write import Writer, type_folder
from flawmap.station.improve.jobs import too_few
from flawmap.station.improve.training import Options, refine_command, train_command
from flawmap.station.insight.sampling import is_sampled
from flawmap.station.review.drawing import Drawing, draw
from station.filling import add_product, add_user
from station.imaged import add_imaged
from station.improving import add_model, part_png

DECIDED = {"good": "good", "false alarm": "good", "defective": "reject", "drawn": "reject"}
VERDICT = {"good": "good", "false alarm": "reject", "defective": "reject", "drawn": "reject"}


def sampled_seed(after: int = 1_000) -> int:
    """A seed whose image is in the random sample."""
    seeds = range(after, after + 2_000)
    return next(s for s in seeds if is_sampled(hashlib.sha256(part_png(s)).hexdigest()))


def add_part(station: Station, what: str, seed: int) -> int:
    """Add a part that was judged and decided on, and drawn on if that is what it is."""
    data, verdict = part_png(seed), VERDICT[what]
    part_id = add_imaged(station, verdict=verdict, number=f"N{seed}", data=data, size=(96, 96))
    user = add_user(station.database, "x", "operator")
    with station.database.write() as session:
        part = session.get_one(Part, part_id)
        part.decision, part.reviewers = DECIDED[what], 1
        if what == "drawn":
            points = {"points": [(10.0, 10.0), (20.0, 10.0), (20.0, 20.0)]}
            drawing = Drawing(type="Deep scratch", shape="polygon", geometry=points)
            draw(session, part_id, user, drawing)
    return part_id


@pytest.fixture
def product(station: Station, tiny_run: Path, tmp_path: Path) -> int:
    """A product whose model was trained outside; its images are still there."""
    shutil.copytree(tiny_run, tmp_path / "parent" / "run")
    product_id = add_product(station.database)
    add_model(station, product_id, "live", folder=str(tmp_path / "parent" / "run"))
    return product_id


def plan_of(station: Station, product: int) -> Plan:
    """The plan of now."""
    with station.database.read() as session:
        return make_plan(session, session.get_one(Product, product))


def write(station: Station, product: int, folder: Path, **options: Any) -> dict[str, Any]:
    """Write the data set of now."""
    plan = plan_of(station, product)
    way = choose_way(plan, Options(**options), look=True)
    with station.database.read() as session:
        row = session.get_one(Product, product)
    return Writer(station, row, plan, way, "destseg", folder).write()


def test_flagged_good_parts_and_defects_refine(
    station: Station, product: int, tmp_path: Path
) -> None:
    kinds = ["drawn", "false alarm", "good", "defective", "drawn", "false alarm", "good"]
    for seed, kind in enumerate([*kinds, "good", "drawn", "drawn"]):
        add_part(station, kind, 100 + seed)
    folder = tmp_path / "job"
    written = write(station, product, folder)
    assert written["way"]["kind"] == "refine", written["way"]
    assert written["refines"] == str(tmp_path / "parent" / "run")
    assert len(list((folder / "data" / "good").iterdir())) == 2
    samples, _ = open_defects(folder / "data")
    assert sorted((one.defect_type, one.mask is not None) for one in samples) == [
        ("deep_scratch", True),
        ("deep_scratch", True),
        ("defective", False),
    ]
    reasons = [one["reason"] for one in written["left_out"]]
    assert len(reasons) == 2
    assert all("passed it" in reason for reason in reasons)
    assert len(written["compared"]) == 3
    made = made_of(folder / "run")
    assert made is not None
    assert (made.good, made.defective, made.drawn, made.calibrating) == (2, 3, 2, 0)
    assert json.loads((folder / "dataset.json").read_text())["cut"] > (made.newest or 0)


def test_a_whole_random_sample_calibrates(station: Station, product: int, tmp_path: Path) -> None:
    first, second, third = (sampled_seed(n) for n in (1_000, 4_000, 8_000))
    calibrating = add_part(station, "false alarm", first)
    for seed in range(6):
        add_part(station, "drawn", 100 + seed)
    plan = plan_of(station, product)
    assert [one.part for one in plan.calibrating] == [calibrating]
    assert not plan.flagged_good
    written = write(station, product, tmp_path / "job")
    assert len(list((tmp_path / "job" / "calibrate").iterdir())) == 1
    assert [one["part"] for one in written["learned"] if one["kind"] == "calibrate"] == [
        calibrating
    ]
    open_part = add_part(station, "good", second)
    late = add_part(station, "good", third)
    with station.database.write() as session:
        session.get_one(Part, open_part).decision = None
        session.get_one(Part, open_part).received_at = 5
        session.get_one(Part, late).received_at = 6
    assert plan_of(station, product).calibrating == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"anew": True}, "You asked for it"),
        ({"method": "stpm"}, "asked for stpm"),
        ({"steps": 12}, "only a new training has"),
        ({"folds": 5}, "only a new training has"),
    ],
)
def test_why_it_trains_anew(
    station: Station, product: int, options: dict[str, Any], why: str
) -> None:
    for seed in range(4):
        add_part(station, "drawn", 100 + seed)
    way = choose_way(plan_of(station, product), Options(**options))
    assert way.kind == "train"
    assert why in way.why


def test_a_run_without_its_images_or_a_head_is_not_refined(
    station: Station, product: int, tmp_path: Path
) -> None:
    for seed in range(4):
        add_part(station, "drawn", 100 + seed)
    plan = plan_of(station, product)
    run = plan.known.run
    assert run is not None
    assert (
        choose_way(plan, Options()).kind == choose_way(plan, Options(), look=True).kind == "refine"
    )
    (tmp_path / "empty").mkdir()
    for changes, why in (
        ({"training": run.training.model_copy(update={"folder": str(tmp_path / "no")})}, "longer"),
        ({"configuration": run.configuration | {"head": "none"}}, "no head"),
        ({"calibration": run.calibration.model_copy(update={"folds": 5})}, "folds"),
    ):
        plan.known.run = run.model_copy(update=changes)
        way = choose_way(plan, Options())
        assert way.kind == "train"
        assert why in way.why
        assert "trained anew" in str(too_few(plan, way))
    training = run.training.model_copy(update={"folder": str(tmp_path / "empty")})
    plan.known.run = run.model_copy(update={"training": training})
    assert "images of the model in force" in choose_way(plan, Options(), look=True).why


def test_nothing_new_is_no_refinement(station: Station, product: int) -> None:
    for seed in range(4):
        add_part(station, "good", 100 + seed)
    assert "nothing to refine" in choose_way(plan_of(station, product), Options()).why


def test_a_refined_model_knows_what_its_parents_learned(tmp_path: Path, tiny_run: Path) -> None:
    entry = {"image": "a", "number": "A1", "received_at": 7, "kind": "good"}
    for name, refines, learned in (
        ("first", None, [entry]),
        ("second", str(tmp_path / "first" / "run"), [entry | {"image": "b", "received_at": 3}]),
        ("loop", str(tmp_path / "loop" / "run"), []),
    ):
        (tmp_path / name).mkdir()
        stored = {"format": 1, "learned": learned, "refines": refines}
        (tmp_path / name / "dataset.json").write_text(json.dumps(stored))
    known = known_by(tmp_path / "second" / "run")
    assert (known.images, known.numbers, known.newest) == ({"a", "b"}, {"A1"}, 7)
    assert known_by(tmp_path / "loop" / "run").newest is None
    manifest = read_manifest(tiny_run)
    assert known_by(tiny_run).images >= {*manifest.spent, *manifest.calibration.images}


@pytest.mark.parametrize(
    ("types", "folder"),
    [
        ([], ""),
        (["Deep scratch"], "deep_scratch"),
        (["a", "b", "b"], "b"),
        (["../../etc"], "etc"),
        (["good"], ""),
        (["NG"], ""),
        (["masks"], ""),
        (["new"], ""),
        (["17"], ""),
        (["Kratzer ä"], "kratzer_ä"),
    ],
)
def test_a_type_is_a_folder_unless_its_name_is_a_label(types: list[str], folder: str) -> None:
    assert type_folder([DrawnDefect(type=one, area=5) for one in types]) == folder


def test_the_commands(tmp_path: Path) -> None:
    command = refine_command(tmp_path, Path("/parent"), good=False, defects=True)
    assert "--good" not in command
    assert command[command.index("--defects") + 1] == str(tmp_path / "data")
    assert "--use-defects" in train_command(tmp_path, Options(), "adps", use_defects=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{}")
    assert "--resume" in refine_command(tmp_path, Path("/parent"), good=True, defects=False)
