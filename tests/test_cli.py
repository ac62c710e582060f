"""The command line as a person meets it: exit status, what is printed where, and wrong input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmark.results import result, write_results
from flawmap.cli import main
from flawmap.inspection.bundle.manifest import Export, read_manifest, write_manifest
from flawmap.inspection.conformal import Calibration


@dataclass(frozen=True)
class Said:
    """How a verb ended, and what it printed."""

    status: int
    out: str
    err: str


Flawmap = Callable[..., Said]


@pytest.fixture
def flawmap(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Flawmap:
    """The console script, in this process."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*args: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["flawmap", *map(str, args)])
        with pytest.raises(SystemExit) as done:
            main()
        printed = capsys.readouterr()
        assert isinstance(done.value.code, int)
        return Said(done.value.code, printed.out, printed.err)

    return call


def refused(said: Said, status: int) -> str:
    """The message of a verb that failed: one or two lines, and nothing else."""
    assert said.status == status
    assert said.out == ""
    assert said.err.startswith("flawmap: ")
    assert len(said.err.splitlines()) <= 2
    assert "Traceback" not in said.err
    return said.err


# --- help and wrong calls


@pytest.mark.parametrize(
    "verb", ["train", "evaluate", "predict", "calibrate", "drift", "info", "demo", "bench"]
)
def test_every_verb_has_help(flawmap: Flawmap, verb: str) -> None:
    said = flawmap(verb, "--help")
    assert said.status == 0
    assert f"flawmap {verb}" in said.out
    overview = flawmap("--help").out
    (line,) = [x for x in overview.splitlines() if x.strip().startswith(verb)]
    assert not line.endswith("..."), "the summary must fit its line"


def test_version(flawmap: Flawmap) -> None:
    assert flawmap("--version") == Said(0, f"flawmap {metadata.version('flawmap')}\n", "")


def test_version_loads_no_library_that_takes_long() -> None:
    code = (
        "import sys; sys.argv = ['flawmap', '--version']\n"
        "from flawmap.cli import main\n"
        "try: main()\n"
        "except SystemExit as done: assert not done.code\n"
        "print(*sorted({'numpy', 'scipy', 'PIL', 'onnxruntime', 'pydantic'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == f"flawmap {metadata.version('flawmap')}\n\n"


def test_train_has_the_options_of_the_contract(flawmap: Flawmap) -> None:
    text = flawmap("train", "--help").out
    for option in (
        "--set", "--out", "--method", "--preset", "--teacher", "--textures", "--rotate", "--steps",
        "--batch-size", "--seed", "--device", "--resume", "--layout",
    ):  # fmt: skip
        assert option in text
    assert text.index("Positional arguments") < text.index("Options")


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("train",),
        ("train", "data"),
        ("train", "data", "--out", "x", "--rotate", "sideways"),
        ("train", "data", "--out", "x", "--steps", "many"),
        ("train", "data", "--out", "x", "--seed", "-1"),
        ("evaluate", "run"),
        ("predict", "run"),
        ("drift", "run"),
        ("info",),
        ("info", "run", "--nonsense"),
        ("demo", "--seed", "-3"),
    ],
)
def test_wrong_calls(flawmap: Flawmap, args: tuple[str, ...]) -> None:
    said = flawmap(*args)
    assert said.status == 2
    assert said.out == ""
    assert "Traceback" not in said.err


@pytest.mark.parametrize("verb", ["info", "evaluate", "predict", "calibrate"])
def test_no_such_run(flawmap: Flawmap, verb: str, tmp_path: Path) -> None:
    more = [] if verb == "info" else [tmp_path]
    text = refused(flawmap(verb, tmp_path / "run", *more), 1)
    assert "Train one with" in text


def test_errors_of_the_system_are_a_line_too(
    flawmap: Flawmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("flawmap.inspection.bundle.manifest.read_manifest", full)
    assert "/somewhere: No space left" in refused(flawmap("info", tmp_path), 1)


def test_ctrl_c_is_a_line(
    flawmap: Flawmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flawmap.inspection.bundle.manifest.read_manifest", interrupt)
    said = flawmap("info", tmp_path)
    assert said == Said(130, "", "flawmap: stopped.\n")


# --- calibrate


def test_calibrate_says_what_it_promises(flawmap: Flawmap, run_copy: Path, tiny_data: Path) -> None:
    good = tiny_data / "test" / "good"
    said = flawmap("calibrate", run_copy, good, "--false-reject", "25%", "--review", "0.5")
    assert said.status == 0
    assert "Of good parts like these 3, at most 25.0% on average will be rejected" in said.out
    assert "Among the highest-scoring: score" in said.out
    found = read_manifest(run_copy).calibration
    assert (found.reject.asked, found.review.asked) == (0.25, 0.5)


@pytest.mark.parametrize("wrong", ["none", "0", "100%", "-1%"])
def test_a_rate_that_is_none(flawmap: Flawmap, run_copy: Path, wrong: str) -> None:
    said = flawmap("calibrate", run_copy, f"--false-reject={wrong}")
    assert "such as 1% or 0.01" in refused(said, 2)


# --- regions and judge


def test_regions_tells_what_counts(flawmap: Flawmap, run_copy: Path) -> None:
    said = flawmap("regions", run_copy, "--pixel-pitch", "0.1", "--min-area", "0.5mm2")
    assert said.status == 0
    assert "inspects the whole image; ignores defects smaller than 50 pixels (0.5 mm2)" in said.out
    assert "Of good parts like these 5" in said.out
    assert "smaller than 50 pixels" in flawmap("info", run_copy).out


def test_an_area_that_is_none(flawmap: Flawmap, run_copy: Path) -> None:
    said = flawmap("regions", run_copy, "--min-area", "large")
    assert said.status == 2
    assert "0.5mm2" in said.err


def test_judge_shows_verdicts_as_predict_does(
    flawmap: Flawmap, run_copy: Path, images: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    first = flawmap("predict", run_copy, images, "--out", tmp_path / "out", "--json", lines)
    said = flawmap("judge", run_copy, lines, "--json", tmp_path / "again.jsonl")
    assert said.status == 0
    assert [x for x in said.out.splitlines() if "score" in x] == [
        x for x in first.out.splitlines() if "score" in x
    ]


# --- info


def test_info_tells_what_it_is_and_promises(flawmap: Flawmap, tiny_run: Path) -> None:
    said = flawmap("info", tiny_run)
    assert said.status == 0
    told = " ".join(said.out.split())
    manifest = read_manifest(tiny_run)
    for piece in (
        "destseg (fast)", "pocket", "5 good images of data", "5 held out", "slight",
        "12 steps", "128 x 128 pixels", f"reject above {manifest.calibration.reject.value:.4g}",
        "at most 16.7% on average will be rejected", "at least 99 good images that",
        f"licence: {manifest.teacher.licence}",
    ):  # fmt: skip
        assert piece in told
    assert "evaluated on" not in told


def test_info_tells_of_groups_of_what_was_left_out_and_of_each_export(
    flawmap: Flawmap, run_copy: Path
) -> None:
    before = read_manifest(run_copy)
    training = before.training.model_copy(
        update={"group": "part", "groups": 9, "set_aside": ("ab",), "copies": 1, "useless": 2}
    )
    calibration = before.calibration.model_copy(
        update={"left_out": ("cd",), "places": ("/parts/good",)}
    )
    own = Calibration.from_scores([0.25, 0.5], [0.25, 0.5], false_reject=0.4, review=0.7)
    exports = {"openvino-bf16": exported(own)}
    changes = {"training": training, "calibration": calibration, "exports": exports}
    write_manifest(run_copy, before.model_copy(update=changes))
    said = flawmap("info", run_copy)
    told = " ".join(said.out.split())
    for piece in (
        "9 parts, identified by --group part", "1 more images of those parts set aside",
        "2 of a few pixels or one colour left out", "1 duplicate left out",
        "5 good images of /parts/good; 1 left out, as their scores are outliers",
        "openvino-bf16 thresholds reject above 0.5, review above 0.25",
        "when exported: map differs by at most 1.0e-03",
    ):  # fmt: skip
        assert piece in told


def exported(own: Calibration) -> Export:
    return Export(
        precision="bf16", files={}, calibration=own, images=2, map_max=1e-3, map_mean=0.0,
        score_max=0.0, score_mean=0.0, flips=0, p_value_mean=0.0, within_limits=True,
    )  # fmt: skip


def test_export_prints_what_bf16_promises(
    flawmap: Flawmap, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the float32 graph that it is computed from, which has the run's own thresholds."""
    own = Calibration.from_scores([0.25, 0.5], [0.25, 0.5], false_reject=0.4, review=0.7)
    before = read_manifest(run_copy)
    exports = {"openvino-bf16": exported(own)}
    write_manifest(run_copy, before.model_copy(update={"exports": exports}))
    first = exported(own).model_copy(update={"precision": "float32", "calibration": None})
    monkeypatch.setattr("flawmap.export", lambda *_, **__: first, raising=False)
    said = flawmap("export", run_copy, "--to", "openvino")
    assert said.status == 0
    _, bf16 = said.out.split("The same model in bf16:")
    assert own.statement() in bf16
    assert "in bf16" not in flawmap("export", run_copy, "--to", "onnx").out


def test_info_after_an_evaluation(flawmap: Flawmap, run_copy: Path) -> None:
    """Figures undefined, missing or of another kind are passed over."""
    path = run_copy / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["metrics"] = {"data": "[red]:warning:", "image_auroc": 0.5, "pixel_ap": None}
    path.write_text(json.dumps(value), encoding="utf-8")
    said = flawmap("info", run_copy)
    assert said.status == 0
    assert "[red]:warning:: image_auroc 0.5000" in said.out


def test_info_of_a_run_not_complete(flawmap: Flawmap, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert "--resume" in refused(flawmap("info", tmp_path), 1)


# --- evaluate


def test_evaluate_tells_every_figure(
    flawmap: Flawmap, run_copy: Path, tiny_data: Path, tmp_path: Path
) -> None:
    paths = tmp_path / "m.json", tmp_path / "r.html"
    said = flawmap("evaluate", run_copy, tiny_data, "--json", paths[0], "--report", paths[1])
    assert said.status == 0
    found = json.loads(paths[0].read_text(encoding="utf-8"))
    for name in ("image_auroc", "pixel_ap", "pro", "iap", "iap90"):
        assert any(
            line.split()[:2] == [name, f"{found[name]:.4f}"] for line in said.out.split("\n")
        )
    lines = said.out.splitlines()
    assert lines[0].startswith("MVTec AD layout: 10 good to train on; 3 good and 6 defective")
    assert [line.split(":")[0] for line in lines if "passed as good" in line] == [
        "3 good", "6 defective",
    ]  # fmt: skip
    assert lines[-2:] == [f"Wrote {path}" for path in paths]
    assert "evaluating: 9 of 9" in said.err


def test_evaluate_says_why_a_figure_is_undefined(
    flawmap: Flawmap, run_copy: Path, tiny_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data / "train", data / "train")
    shutil.copytree(tiny_data / "test" / "good", data / "test" / "good")
    said = flawmap("evaluate", run_copy, data)
    assert said.status == 0
    assert "undefined: no defective image was evaluated" in said.out


@pytest.mark.parametrize(("layout", "status"), [("folder", 1), ("nonsense", 2)])
def test_evaluate_with_a_layout_that_does_not_fit(
    flawmap: Flawmap, tiny_run: Path, tiny_data: Path, layout: str, status: int
) -> None:
    refused(flawmap("evaluate", tiny_run, tiny_data, "--layout", layout), status)


# --- predict


def test_predict_prints_a_line_an_image(
    flawmap: Flawmap, tiny_run: Path, images: Path, tmp_path: Path
) -> None:
    said = flawmap("predict", tiny_run, images, "--out", tmp_path / "out")
    assert said.status == 0
    assert said.err == ""
    lines = said.out.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == [
        str(images / name) for name in ("part2.png", "part10.png", "below/part1.png")
    ]
    assert all(line.split()[0] in ("good", "review", "reject") for line in lines[:3])
    assert lines[3].startswith("3 images: ")
    assert lines[4] == f"Wrote {tmp_path / 'out'}"


def test_predict_does_not_name_what_it_did_not_write(
    flawmap: Flawmap, tiny_run: Path, images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (extra cluster)")
    results, out = tmp_path / "results", tmp_path / "out"
    said = flawmap("predict", tiny_run, images, "--parquet", results)
    assert said.out.splitlines()[-1] == f"Wrote {results}"
    said = flawmap("predict", tiny_run, images, "--parquet", results, "--out", out)
    assert said.status == 0
    assert "Wrote" not in said.out
    assert f"3 of them have no output images in {out}" in said.err


def test_json_on_standard_output_is_json_alone(
    flawmap: Flawmap, tiny_run: Path, images: Path, tmp_path: Path
) -> None:
    (images / "part3.png").write_text("text", encoding="utf-8")
    said = flawmap("predict", tiny_run, images, "--json", "-", "--out", tmp_path / "out")
    assert said.status == 0
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert ["error" in line for line in lines] == [False, True, False, False]
    assert "part3.png" in said.err


def test_names_are_printed_as_they_are(flawmap: Flawmap, tiny_run: Path, images: Path) -> None:
    folder = images / "[bold] :warning:"
    (images / "below").rename(folder)
    (folder / "bad [red].png").write_text("text", encoding="utf-8")
    said = flawmap("predict", tiny_run, folder)
    assert "[bold] :warning:/part1.png" in said.out
    assert "bad [red].png: not an image" in said.err
    assert "2 images: " in said.out
    assert "1 not inspected" in said.out


def test_no_image_readable(flawmap: Flawmap, tiny_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("text", encoding="utf-8")
    said = flawmap("predict", tiny_run, path, "--json", tmp_path / "lines.jsonl")
    assert said.status == 1
    assert said.err.splitlines()[-1] == "flawmap: No image could be inspected."
    (line,) = (tmp_path / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"] == str(path)


def test_predict_nothing_there(flawmap: Flawmap, tiny_run: Path, tmp_path: Path) -> None:
    refused(flawmap("predict", tiny_run, tmp_path / "no.png", "--out", tmp_path / "out"), 2)
    refused(flawmap("predict", tiny_run, tmp_path, "--out", tmp_path / "out"), 1)
    assert not (tmp_path / "out").exists()


def test_names_that_the_terminal_cannot_show(
    flawmap_process: tuple[list[str], dict[str, str]], tiny_run: Path, images: Path
) -> None:
    """Bytes that are no text, on a terminal of ASCII, through a real pipe."""
    (images / "part2.png").rename(images / "Stück \udce9.png")
    command, environment = flawmap_process
    done = subprocess.run(
        [*command, "predict", tiny_run, images],
        env=environment | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"St\xfcck \udce9.png" in done.stdout


# --- train: every message before any training, nothing left behind


@pytest.fixture
def good(tiny_data: Path, tmp_path: Path) -> Path:
    """A plain folder with ten good images, to be spoiled."""
    shutil.copytree(tiny_data / "train" / "good", tmp_path / "product" / "good")
    return tmp_path / "product" / "good"


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--method", "nonsense"], 2, "destseg"),
        (["--preset", "nonsense"], 2, "fast"),
        (["--teacher", "nonsense"], 2, "pocket"),
        (["--layout", "nonsense"], 2, "mvtec"),
        (["--device", "nonsense"], 2, "cpu"),
        (["--device", "mps"], 2, "cpu"),
        (["--steps", "0"], 2, "--steps 0"),
        (["--steps", "1"], 2, "--steps 1"),
        (["--batch-size", "1"], 2, "--batch-size 1"),
        (["--textures", "/nonsense"], 1, "--textures"),
    ],
)
def test_train_options_out_of_range(
    flawmap: Flawmap, good: Path, tmp_path: Path, options: list[str], status: int, told: str
) -> None:
    out = tmp_path / "run"
    base = ["train", good.parent, "--out", out, "--rotate", "none"]
    said = flawmap(*base, "--teacher", "pocket", *options)
    assert told in refused(Said(said.status, "", said.err), status)
    assert not out.exists(), "a failed start must not be in the way of the next"


def spoil_one(good: Path) -> None:
    path = good / "003.png"
    path.write_bytes(path.read_bytes()[:200])


def text_named_png(good: Path) -> None:
    (good / "004.png").write_text("text", encoding="utf-8")


def leave(count: int) -> Callable[[Path], None]:
    def remove(good: Path) -> None:
        for path in sorted(good.iterdir())[count:]:
            path.unlink()

    return remove


def no_good(good: Path) -> None:
    good.rename(good.parent / "pictures")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_one, "003.png"),
        (text_named_png, "004.png"),
        (leave(5), "5 usable good images"),
        (leave(0), "no images in it"),
        (no_good, "no good images to learn from (it holds: pictures with "),
        (lambda good: shutil.rmtree(good.parent), "no such folder"),
    ],
)
def test_train_on_hostile_folders(
    flawmap: Flawmap, good: Path, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(good)
    out = tmp_path / "run"
    said = flawmap("train", good.parent, "--out", out, "--teacher", "pocket")
    assert said.status in (1, 2)
    assert told in said.err
    assert "Traceback" not in said.err
    (start,) = [n for n, x in enumerate(said.err.splitlines()) if x.startswith("flawmap: ")]
    assert len(said.err.splitlines()) - start <= 2
    assert not out.exists()


def test_train_into_a_file_or_an_existing_run(
    flawmap: Flawmap, good: Path, tiny_run: Path, tmp_path: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in tiny_run.iterdir()}
    text = refused(flawmap("train", good.parent, "--out", tiny_run), 2)
    assert "--resume" in text
    assert "another --out" in text
    (tmp_path / "file").touch()
    assert "is a file" in refused(flawmap("train", good.parent, "--out", tmp_path / "file"), 2)
    assert {p: p.stat().st_mtime_ns for p in tiny_run.iterdir()} == before


def test_demo_does_not_write_over_an_earlier_one(flawmap: Flawmap, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "another --out" in refused(flawmap("demo", "--out", tmp_path), 2)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


# --- bench


def test_bench_wants_something_to_measure(flawmap: Flawmap, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "give a GRID.yaml, or --data" in refused(flawmap("bench", "--out", out), 2)
    assert "is not a folder" in refused(
        flawmap("bench", "--data", tmp_path / "no", "--out", out), 2
    )
    assert "Cannot read" in refused(flawmap("bench", tmp_path / "no.yaml", "--out", out), 2)
    assert "no bench results" in refused(flawmap("bench", "--table", "--out", out), 2)
    assert not out.exists()


def test_bench_flags_go_before_the_file_and_the_table_is_printed(
    flawmap: Flawmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flawmap.benchmark import run

    def stand_in(cell: Any, folder: Path, commands: Any) -> dict[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "method": cell.method, "preset": cell.preset, "teacher": cell.teacher,
            "dataset": cell.dataset, "category": cell.category, "seed": cell.seed,
            "figures": {"image_auroc": 0.5 + 0.1 * cell.seed}, "seconds": {"train": 60.0},
        }  # fmt: skip

    monkeypatch.setattr(run, "measure", stand_in)
    (tmp_path / "gear").mkdir()
    (tmp_path / "grid.yaml").write_text("data: .\ncategory: gear\nseed: [1, 2, 3]\nsteps: 9\n")
    said = flawmap(
        "bench", tmp_path / "grid.yaml", "--seed", "1", "--seed", "2", "--out", tmp_path / "out"
    )
    assert said.status == 0
    assert "| 2 | 1.0 min | - | 65.0 ± 7.1 |" in said.out
    assert "2 of 2" in said.err
    names = sorted(path.name for path in (tmp_path / "out").glob("*.json"))
    assert [name.rsplit("-", 1)[1] for name in names] == ["1.json", "2.json"]
    assert flawmap("bench", "--table", "--out", tmp_path / "out").out == said.out


def test_bench_flags_go_before_those_of_a_product(
    flawmap: Flawmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flawmap as package

    asked: list[Any] = []
    monkeypatch.setattr(package, "bench", lambda grid, *a, **k: asked.append(grid), raising=False)
    (tmp_path / "gear").mkdir()
    (tmp_path / "nut").mkdir()
    grid = tmp_path / "grid.yaml"
    grid.write_text("steps: 9\nproducts: [{data: ., size: 64x64}]\n")
    flags = ("--size", "32x32", "--category", "nut", "--out", tmp_path / "o")
    refused(flawmap("bench", grid, *flags), 2)  # no table
    (cell,) = asked[0].cells()
    assert (cell.category, cell.options.size, cell.options.steps) == ("nut", "32x32", 9)
    said = refused(flawmap("bench", grid, "--data", tmp_path), 2)
    assert "The grid: products: each has data of its own" in said


def test_bench_compare(flawmap: Flawmap, tmp_path: Path) -> None:
    a, b = (
        write_results(
            tmp_path / name,
            *(
                result(category, seed, commit=name, iap=iap + seed / 100, image_auroc=iap + 0.3)
                for category in ("screw", "pill")
                for seed in range(3)
            ),
        )
        for name, iap in (("before", 0.4), ("after", 0.45))
    )
    json_file = tmp_path / "found.json"
    said = flawmap("bench", "compare", a, b, "--json", json_file)
    assert said.status == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert said.out.startswith("A: destseg fast, pocket; seeds 0, 1, 2; commit before; ")
    assert ["pill", "A", "0.700", "0.950", "0.500", "0.800", "0.410", "0.100", "40.0"] in lines
    assert [
        "B",
        "-",
        "A",
        "+0.050",
        "+0.000",
        "+0.000",
        "+0.000",
        "+0.050",
        "+0.000",
        "+0.0",
    ] in lines
    assert said.out.count("±") == 3, "two products and the mean"
    assert "Compared: 6 pairs of results on 2 products, 2 variants." in said.out
    assert said.out.splitlines()[-1] == (
        "B may not become the default: the mean of pixel AP does not rise (+0.000)."
    )
    assert said.err == f"Wrote {json_file}\n"
    written = json.loads(json_file.read_text())
    assert written["command"] == f"flawmap bench compare {a} {b} --json {json_file}"
    assert written["mean"]["iap"]["difference"] == pytest.approx(0.05)


def test_bench_compare_tells_what_is_left_out_and_refuses_the_rest(
    flawmap: Flawmap, tmp_path: Path
) -> None:
    results = [result(variant=name, iap=iap) for name, iap in (("base", 0.4), ("new", 0.5))]
    folder = write_results(tmp_path, *results, result("pill", variant="new"))
    said = flawmap("bench", "compare", folder, "--variant", "base", "--variant", "new")
    assert said.status == 0
    assert "Note: pill is only in B and is not compared." in said.err
    assert "The evidence is too thin: 1 seed where 3 are required (screw 1)" in said.out
    assert "–" in said.out, "one seed has no deviation"
    assert "one and two variants" in refused(flawmap("bench", "compare", folder), 2)
    assert "in quotes" in refused(flawmap("bench", "compare", "a", "b", "c"), 2)


def test_ablation_is_a_grid_of_its_own(
    flawmap: Flawmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flawmap as package
    from flawmap.benchmark.ablation import ABLATIONS

    asked: list[Any] = []
    monkeypatch.setattr(package, "bench", lambda grid, *a, **k: asked.append(grid), raising=False)
    (tmp_path / "gear").mkdir()
    refused(
        flawmap("bench", "ablation", "--data", tmp_path, "--out", tmp_path / "o"), 2
    )  # no table
    (grid,) = asked
    assert grid.preset == ("paper",)
    assert [cell.variant for cell in grid.cells()] == list(ABLATIONS["destseg"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("l1_weight", "give KEY=VALUE"),
        ("=3", "give KEY=VALUE"),
        ("l1_weigth=0", "--set l1_weigth 0: extra inputs"),
        ("head=large", "--set head large: input should be"),
        ("anomalies.opacity=[0.1]", "--set anomalies.opacity"),
        ("anomalies.x.y=1", "no section x"),
        ("decoder=false", "without a decoder"),
    ],
)
def test_changes_that_do_not_fit(
    flawmap: Flawmap, tiny_data: Path, tmp_path: Path, word: str, said: str
) -> None:
    out = tmp_path / "out"
    assert said in refused(flawmap("train", tiny_data, "--out", out, "--set", word), 2)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "640"], "--size 640: give height x width in pixels, such as 640x256"),
        (["--size", "-64x64"], "--size -64x64: give height"),
        (["--size", "100x64"], "--size 100x64: height and width must be multiples of 32 pixels"),
        (["--size", "640x256", "--method", "adps", "--set", "patches=16"], "such as 512x256"),
        (["--method", "patchcore"], "choose one of destseg, adps, stpm"),
        (["--fit", "letterbox", "--overlap", "32"], "Only tiles can overlap"),
        (["--fit", "tiles", "--overlap", "129"], "give 0 to 128"),
    ],
)
def test_sizes_and_methods_that_do_not_fit(
    flawmap: Flawmap, tiny_data: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    out = tmp_path / "out"
    assert said in refused(flawmap("train", tiny_data, "--out", out, *options), 2)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "fit", "told"),
    [
        ("stpm", "letterbox", "letterboxed"),
        pytest.param("adps", "tiles", "tiles that overlap by 32 pixels", marks=pytest.mark.long),
    ],
)
def test_other_methods_sizes_and_fits_from_images_to_verdicts(
    flawmap: Flawmap,
    tiny_data: Path,
    tiny_textures: Path,
    tmp_path: Path,
    method: str,
    fit: str,
    told: str,
) -> None:
    out, figures = tmp_path / "run", tmp_path / "figures.json"
    options = ["--method", method, "--size", "128x256", "--steps", "2", "--batch-size", "2"]
    options += ["--textures", str(tiny_textures), "--rotate", "none", "--fit", fit]
    said = flawmap("train", tiny_data, "--out", out, *options)
    assert said.status == 0, said.err
    assert ("--textures is ignored" in said.out + said.err) == (method == "stpm")
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["method"], manifest["preprocessing"]["size"]) == (method, [128, 256])
    assert ("none: this method" in manifest["training"]["textures"]) == (method == "stpm")
    assert flawmap("evaluate", out, tiny_data, "--json", figures).status == 0
    assert 0 <= json.loads(figures.read_text())["pixel_auroc"] <= 1
    assert flawmap("evaluate", out, tiny_data, "--distances", "2").status == 0
    assert told in " ".join(flawmap("info", out).out.split())
    if method == "adps":  # the read-out was fitted on the images trained on
        assert np.isfinite(load_file(out / "weights.safetensors")["level.usual"])


# --- drift


def test_drift_tells_its_finding(
    flawmap: Flawmap, calibrated_run: Path, lines_of: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "found" / "drift.json"
    calm = flawmap("drift", calibrated_run, lines_of(shift=0.0), "--json", path)
    assert calm.status == 0
    assert calm.out.startswith("No alarm: ")
    assert "an alarm is at most 1%" in calm.out
    assert json.loads(path.read_text(encoding="utf-8"))["alarm"] is False
    shifted = flawmap("drift", calibrated_run, lines_of(shift=2.0), "--false-alarm", "0.005")
    assert shifted.status == 0, "an alarm is a finding, no failure"
    assert shifted.out.startswith("ALARM at line ")
    assert "an alarm is at most 0.5%" in shifted.out


@pytest.mark.parametrize("rate", ["0", "100%", "-1%", "one", "1%%", "nan", "%", "1"])
def test_rates_that_make_no_sense(flawmap: Flawmap, tmp_path: Path, rate: str) -> None:
    said = flawmap("drift", tmp_path, tmp_path / "lines.jsonl", "--false-alarm", rate)
    assert "such as 1% or 0.01" in refused(said, 2)


# --- read-outs


def test_evaluate_tells_which_distances_it_read_out(flawmap, run_copy, tiny_data):
    said = flawmap("evaluate", run_copy, tiny_data, "--distances", "1,3")
    assert said.status == 0
    assert "product of the distances at levels 1, 3" in said.out
    assert "rejected" not in said.out, "no thresholds, no verdicts"


def test_levels_that_are_no_numbers(flawmap, run_copy, tiny_data):
    said = flawmap("evaluate", run_copy, tiny_data, "--distances", "fine")
    assert "such as 1,2,3" in refused(said, 2)
