from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.results import FLAT, result, write_results
from flawmap.benchmark.comparison import Comparison, compare
from flawmap.errors import UsageError


@pytest.fixture
def folders(tmp_path: Path):
    """Compare two lists of results that are written to folders."""

    def both(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> Comparison:
        return compare(write_results(tmp_path / "a", *a), write_results(tmp_path / "b", *b))

    return both


def test_seeds_are_paired(folders):
    """Differences of .01, .02 and .06: mean .03, sample deviation sqrt(.0007) = .026458."""
    found = folders(
        [result(seed=s, pixel_ap=ap) for s, ap in ((0, 0.50), (1, 0.60), (2, 0.40))],
        [result(seed=s, pixel_ap=ap) for s, ap in ((2, 0.46), (1, 0.62), (0, 0.51))],
    )
    ap = found.differences["screw"]["pixel_ap"]
    assert (ap.a, ap.b) == (pytest.approx(0.50), pytest.approx(0.53))
    assert ap.difference == pytest.approx(0.03)
    assert ap.deviation == pytest.approx(0.0264575)
    assert ap.by_seed == {0: pytest.approx(0.01), 1: pytest.approx(0.02), 2: pytest.approx(0.06)}
    pro = found.differences["screw"]["pro"]
    assert (pro.difference, pro.deviation) == (0, 0)
    assert not found.notes


def test_seeds_that_do_not_match_are_told(folders):
    """.5 and .7 against .6 and 1.0: difference .2, deviation sqrt(.02 + .08) = .316228."""
    found = folders(
        [result(seed=s, iap=v) for s, v in ((0, 0.5), (1, 0.7))],
        [result(seed=s, iap=v) for s, v in ((2, 0.6), (3, 1.0))],
    )
    iap = found.differences["screw"]["iap"]
    assert (iap.a, iap.b) == (pytest.approx(0.6), pytest.approx(0.8))
    assert iap.difference == pytest.approx(0.2)
    assert iap.deviation == pytest.approx(0.1**0.5)
    assert not iap.by_seed
    assert found.mean["iap"].difference == pytest.approx(0.2)
    assert found.mean["iap"].deviation is None
    assert any("screw: no seed is on both sides" in note for note in found.notes)
    assert any("A mean has no deviation" in note for note in found.notes)


def test_a_seed_on_one_side_alone_is_left_out(folders):
    found = folders(
        [result(seed=0, iap=0.4), result(seed=1, iap=0.9), result(seed=5, iap=0.9)],
        [result(seed=0, iap=0.5)],
    )
    iap = found.differences["screw"]["iap"]
    assert (iap.a, iap.b, iap.deviation) == (0.4, 0.5, None)
    assert "screw: seeds 1, 5 on one side only: left out." in found.notes
    assert found.pairs == 1


def test_the_mean_is_over_products_and_its_deviation_over_seeds(folders):
    """Seed by seed (.02 + .06) / 2 = .04 and (.04 - .08) / 2 = -.02: mean .01, deviation .06/√2."""
    found = folders(
        [result(c, s, pixel_ap=0.5) for c in ("screw", "pill") for s in (0, 1)],
        [result("screw", 0, pixel_ap=0.52), result("screw", 1, pixel_ap=0.54),
         result("pill", 0, pixel_ap=0.56), result("pill", 1, pixel_ap=0.42)],
    )  # fmt: skip
    mean = found.mean["pixel_ap"]
    assert (mean.a, mean.b) == (pytest.approx(0.5), pytest.approx(0.51))
    assert mean.difference == pytest.approx(0.01)
    assert mean.deviation == pytest.approx(0.06 / 2**0.5)
    assert found.compared() == "Compared: 4 pairs of results on 2 products, 2 variants."


def test_a_figure_that_is_not_defined_is_none_and_left_out_of_the_mean(folders):
    found = folders(
        [result("screw", pixel_ap=0.5), result("pill", pixel_ap=None, milliseconds=None)],
        [result("screw", pixel_ap=0.6), result("pill", pixel_ap=0.9)],
    )
    assert found.differences["pill"]["pixel_ap"].difference is None
    assert found.differences["pill"]["milliseconds"].difference is None
    assert found.mean["pixel_ap"].difference == pytest.approx(0.1)
    assert "The mean of pixel_ap leaves out pill, where it is undefined." in found.notes
    assert "pixel AP is undefined on pill" in found.verdict.thin


def test_milliseconds_of_another_machine_are_told(folders):
    a = [result(milliseconds=40.0)]
    found = folders(a, [result(milliseconds=50.0, iap=0.5)])
    assert found.mean["milliseconds"].difference == 10
    assert not any("Milliseconds" in note for note in found.notes)
    found = folders(a, [result(milliseconds=50.0, hardware={"processor": "EPYC", "cores": 2})])
    assert any("Milliseconds come from different machines" in note for note in found.notes)


def test_products_on_one_side_alone_are_told(folders):
    found = folders([result("screw"), result("pill")], [result("screw", iap=0.5), result("nut")])
    assert [*found.differences] == ["screw"]
    assert found.absent == {"nut": "B", "pill": "A"}
    assert "pill is only in A and is not compared." in found.notes
    assert "nut is only in B and is not compared." in found.notes
    assert "only one side has nut, pill" in found.verdict.thin


def test_categories_of_one_name_are_named_with_their_folder(folders):
    a = [result("screw"), result("screw", dataset="other", training={"fingerprint": "aa"})]
    found = folders(a, [one | {"commit": "def"} for one in a])
    assert [*found.differences] == ["mvtec screw", "other screw"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training": {"fingerprint": "0123456789abcdef"}},
         r"screw: the results were trained on different good images \(0123456789ab, f1cfcf15b6cf"),
        ({"images": 159}, r"the results have different numbers of test images \(159, 160\)"),
    ],
)  # fmt: skip
def test_other_data_are_refused(folders, change, said):
    with pytest.raises(UsageError, match=said):
        folders([result()], [result(**change)])


def test_what_may_differ_is_told(folders):
    found = folders(
        [result()],
        [result(instances=70, configuration={"size": [320, 256]}, training={})],
    )
    assert found.notes[:3] == (
        "screw: not every result records its images; check that all are the same.",
        "screw: pixel metrics were measured at different sizes (256x256, 320x256).",
        "screw: results differ in the number of defects in the masks (135, 70).",
    )


def test_variants_of_one_folder(tmp_path: Path):
    folder = write_results(
        tmp_path / "r",
        *(result(variant=name, iap=iap) for name, iap in (("base", 0.4), ("new", 0.5), ("x", 0.9))),
    )
    found = compare(folder, variants=["base", "new"])
    assert found.mean["iap"].difference == pytest.approx(0.1)
    assert (found.a.way, found.b.way) == ("destseg fast: base, pocket", "destseg fast: new, pocket")
    assert "2 variants of 3: the best of many" in found.compared()
    assert found.to_dict()["compared"]["variants_there"] == 3


def test_one_variant_of_two_folders(tmp_path: Path):
    for name, iap in (("a", 0.4), ("b", 0.3)):
        write_results(tmp_path / name, result(variant="v", iap=iap), result(variant="w"))
    found = compare(tmp_path / "a", tmp_path / "b", variants=["v"])
    assert found.mean["iap"].difference == pytest.approx(-0.1)
    assert found.variants == 4


def test_sides_by_pattern_and_by_list(tmp_path: Path):
    folder = write_results(tmp_path, result(), result("pill"), result(variant="new", iap=0.5))
    (folder / "other.json").write_text("{}")
    (folder / "new-runs").mkdir()
    for b in (f"{folder}/*new*", [folder / "mvtec-screw-new-0.json"]):
        found = compare(f"{folder}/*screw--*", b)
        assert [*found.differences] == ["screw"]
        assert found.mean["iap"].difference == pytest.approx(0.1)
    with pytest.raises(UsageError, match=r"other\.json is not a bench result"):
        compare(f"{folder}/*.json", folder)


def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path: Path):
    a = write_results(tmp_path / "a", result())
    b = write_results(tmp_path / "b", result("pill"))
    two = write_results(tmp_path / "two", result(), result(variant="new"))
    for arguments, variants, said in (
        ((a,), [], "two folders of results, or one and two variants"),
        ((two,), ["new"], "two folders of results, or one and two variants"),
        ((two,), ["new", "new"], "two folders of results, or one and two variants"),
        ((a, b), ["x", "y", "z"], "two folders of results, or one and two variants"),
        ((a, b), [], "have no product in common: pill, screw"),
        ((a, a), [], "A and B are the same results"),
        ((a, tmp_path / "none"), [], "none has no bench results"),
        (
            (a, two),
            [],
            "two has results of destseg fast, pocket; destseg fast: new, pocket: choose",
        ),
        ((two,), ["new", "old"], "two has no variant 'old': it has '', new"),
    ):
        with pytest.raises(UsageError) as caught:
            compare(*arguments, variants=variants)
        assert said in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_two_results_of_one_seed_and_damaged_ones(tmp_path: Path):
    a = write_results(tmp_path / "a", result())
    b = write_results(tmp_path / "b", result())
    (b / "copy.json").write_text(json.dumps(result()))
    with pytest.raises(UsageError, match="two results of screw, seed 0"):
        compare(a, b)
    (b / "copy.json").write_text(json.dumps(result() | {"figures": {"iap": "high"}}))
    with pytest.raises(UsageError, match=r"copy\.json is damaged: figures\.iap: "):
        compare(a, b)


def test_the_file_holds_the_table_and_where_it_comes_from(tmp_path: Path):
    a = write_results(tmp_path / "a", *(result(seed=s) for s in range(3)))
    b = write_results(tmp_path / "b", *(result(seed=s, iap=0.5, commit="def") for s in range(3)))
    target = tmp_path / "new" / "comparison.json"
    for _ in range(2):  # its own file may be replaced
        compare(a, b, json_file=target, command="flawmap bench compare a b")
    found = json.loads(target.read_text())
    assert found["command"] == "flawmap bench compare a b"
    assert found.keys() >= {"date", "commit", "versions", "hardware", "notes", "absent"}
    assert (found["a"]["commits"], found["b"]["commits"]) == (["abc"], ["def"])
    assert found["b"]["seeds"] == [0, 1, 2]
    assert found["compared"] == {"pairs": 3, "products": 1, "variants": 2, "variants_there": 2}
    screw = found["products"]["screw"]
    assert (screw["seeds_a"], screw["seeds_b"], screw["paired"]) == ([0, 1, 2], [0, 1, 2], True)
    assert screw["figures"].keys() == FLAT.keys() | {"milliseconds"}
    assert screw["figures"]["iap"]["difference"] == pytest.approx(0.1)
    assert found["mean"]["iap"]["by_seed"] == {s: pytest.approx(0.1) for s in "012"}
    assert found["verdict"]["may_become_default"] is False
    assert found["verdict"]["thin"] == ["one product is not a suite"]
    with pytest.raises(UsageError, match="is not replaced"):
        compare(a, b, json_file=next(a.glob("*.json")))
