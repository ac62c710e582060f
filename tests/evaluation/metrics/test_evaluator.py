import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from flawmap.errors import FlawmapError
from flawmap.evaluation.metrics import Evaluator

from .reference import evaluate, f1_max, nasty_sets, pooled, random_set

SETS = nasty_sets()
IMAGE = ("image_auroc", "image_ap", "image_f1max")
PIXEL = ("pixel_auroc", "pixel_ap", "pixel_f1max", "pro", "iap", "iap90")
ZEROS = np.zeros((4, 4), np.uint8)
RAMP = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)


def values(metrics, names=IMAGE + PIXEL):
    return [metrics[name] for name in names]


def sklearn_metrics(labels, scores):
    return [
        roc_auc_score(labels, scores),
        average_precision_score(labels, scores),
        f1_max(labels, scores),
    ]


@pytest.mark.parametrize("name", SETS)
def test_pixel_metrics_are_scikit_learns(name):
    metrics = evaluate(Evaluator, SETS[name]).compute()
    expected = sklearn_metrics(*pooled(SETS[name]))
    assert values(metrics, PIXEL[:3]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_image_metrics_are_scikit_learns_on_folder_labels(name):
    labels = np.array([d for *_, d in SETS[name]])
    metrics = evaluate(Evaluator, SETS[name]).compute()
    expected = sklearn_metrics(labels, np.array([s for *_, s, _ in SETS[name]]))
    assert values(metrics, IMAGE) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(SETS)),
    st.lists(st.integers(0, 3), min_size=30, max_size=30),
    st.sampled_from([3_000_000, 200, 11]),
)
def test_merged_shards_equal_one_pass(name, shard_of, max_keys):
    images = SETS[name]
    merged = Evaluator(max_keys=max_keys)
    for shard in range(4):
        part = [im for im, s in zip(images, shard_of, strict=False) if s == shard]
        merged.merge(evaluate(Evaluator, part, max_keys=max_keys))
    once, parts = evaluate(Evaluator, images, max_keys=max_keys).compute(), merged.compute()
    assert values(parts) == pytest.approx(values(once), abs=1e-12)
    assert (parts.images, parts.instances, parts.notes) == (once.images, once.instances, once.notes)
    assert parts.pixel_error_bound == pytest.approx(once.pixel_error_bound, abs=1e-12)


def test_merging_leaves_the_other_as_it_was_and_both_go_on():
    images = SETS["random"]
    first, second = evaluate(Evaluator, images[:3]), evaluate(Evaluator, images[3:])
    alone = values(second.compute())
    first.merge(second)
    first.update(*images[0])
    assert values(second.compute()) == alone
    expected = evaluate(Evaluator, [*images, images[0]]).compute()
    assert values(first.compute()) == pytest.approx(values(expected), abs=1e-12)


def test_merging_an_evaluator_with_itself_doubles_it():
    evaluator = evaluate(Evaluator, SETS["random"])
    evaluator.merge(evaluator)
    expected = evaluate(Evaluator, SETS["random"] * 2).compute()
    assert values(evaluator.compute()) == pytest.approx(values(expected), abs=1e-12)


def test_shards_with_another_limit_are_refused():
    with pytest.raises(FlawmapError, match="same pro_limit"):
        Evaluator(pro_limit=0.3).merge(Evaluator(pro_limit=0.1))


UNDEFINED = {
    "nothing": ([], IMAGE + PIXEL),
    "good only": ([(RAMP, None, 0.1, False)], IMAGE + PIXEL),
    "defective only": ([(RAMP, ZEROS + np.eye(4, dtype=np.uint8), 0.9, True)], IMAGE),
    "all pixels defect": ([(RAMP, ZEROS + 1, 0.9, True)], IMAGE + PIXEL),
    "no mask at all": ([(RAMP, None, 0.9, True), (RAMP, None, 0.1, False)], PIXEL),
    "empty mask": ([(RAMP, ZEROS, 0.9, True), (RAMP, ZEROS, 0.1, False)], PIXEL),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_undefined_is_none_with_a_reason(name):
    images, undefined = UNDEFINED[name]
    metrics = evaluate(Evaluator, images).compute()
    assert {n for n in IMAGE + PIXEL if metrics[n] is None} == set(undefined)
    for name in undefined:
        assert metrics.notes[name].startswith("no ")
        assert name not in metrics.pixel_error_bound
    assert set(metrics.notes) & set(IMAGE + PIXEL) == set(undefined)


def test_a_defective_image_without_mask_counts_at_image_level_only():
    images = SETS["random"]
    plain = evaluate(Evaluator, images).compute()
    more = evaluate(
        Evaluator, [*images, (np.ones((24, 20), np.float32), None, 0.0, True)]
    ).compute()
    assert values(more, PIXEL) == values(plain, PIXEL)
    assert more["image_auroc"] < plain["image_auroc"]
    assert more.images == plain.images + 1
    assert more.notes["without_mask"].endswith(": 1")
    assert "without_mask" not in plain.notes


def test_a_defective_image_with_an_empty_mask_is_background_all_over():
    high = np.full((24, 20), 2.0, np.float32)
    images = SETS["random"]
    empty = evaluate(Evaluator, [*images, (high, np.zeros((24, 20), bool), 0.5, True)]).compute()
    good = evaluate(Evaluator, [*images, (high, None, 0.5, False)]).compute()
    assert values(empty, PIXEL) == values(good, PIXEL)
    assert empty["image_auroc"] != good["image_auroc"]
    assert empty.notes["empty_masks"].endswith(": 1")


def test_metrics_survive_json_and_leave_the_arrays_out():
    metrics = evaluate(Evaluator, SETS["random"]).compute()
    read = json.loads(json.dumps(metrics.to_dict()))
    assert list(read) == ["images", "instances", *IMAGE, *PIXEL, "pixel_error_bound", "notes"]
    assert read["pro"] == metrics["pro"]
    assert json.loads(json.dumps(Evaluator().compute().to_dict()))["pixel_ap"] is None


def test_42_peaked_maps_of_256_are_exact():
    images = [
        ((1 / (1 + ((1 - m) / m) ** 8)).astype(np.float32), mask, s, d)
        for m, mask, s, d in random_set(np.random.default_rng(5), (256, 256), count=42)
    ]
    metrics = evaluate(Evaluator, images).compute()
    labels, scores = pooled(images)
    assert metrics.pixel_error_bound == dict.fromkeys(PIXEL, 0.0)
    assert metrics["pixel_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-9)


def test_a_region_is_a_smaller_image():
    """Counted within a rectangle alone, metrics are those of the images cut to it."""
    rng = np.random.default_rng(8)
    region = np.zeros((24, 32), bool)
    region[4:20, 3:25] = True
    whole, cut = Evaluator(), Evaluator()
    for index in range(8):
        values = rng.random((24, 32)).astype(np.float32)
        mask = np.zeros((24, 32), np.uint8)
        if index % 2:
            mask[6:12, 20:30] = 1
        part, truth = values[4:20, 3:25], mask[4:20, 3:25]
        whole.update(values, mask, float(part.max()), bool(index % 2), region)
        cut.update(np.ascontiguousarray(part), truth, float(part.max()), bool(index % 2))
    assert whole.compute().to_dict() == cut.compute().to_dict()


def test_an_image_whose_defects_lie_outside_the_region_is_a_good_one():
    region = np.zeros((8, 8), bool)
    region[:, :4] = True
    mask = np.zeros((8, 8), np.uint8)
    mask[2, 6] = 1
    evaluator = Evaluator()
    values = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    evaluator.update(values, mask, 0.5, True, region)
    other = Evaluator()
    other.merge(evaluator)
    found = other.compute()
    assert found.instances == 0
    assert found["image_auroc"] is None
    assert found.notes["outside_region"].endswith("counted as good: 1")


MAP = np.zeros((4, 5), np.float32)
MASK = np.zeros((4, 5), np.uint8)
BAD_MAP = MAP.copy()
BAD_MAP[1, 2] = np.nan

REFUSED = {
    "float64 map": ((MAP.astype(float), MASK, 0.0, True), "not float32"),
    "list for a map": (([[0.0]], MASK, 0.0, True), "list, not float32"),
    "batch axis": ((MAP[None], MASK, 0.0, True), "batch or channel"),
    "no pixel": ((MAP[:0], MASK[:0], 0.0, True), "at least one pixel"),
    "NaN": ((BAD_MAP, MASK, 0.0, True), "NaN or infinite"),
    "infinite": ((MAP - np.inf, MASK, 0.0, True), "NaN or infinite"),
    "mask of another shape": ((MAP, MASK.T, 0.0, True), r"\(5, 4\).*\(4, 5\)"),
    "mask 0/255": ((MAP, MASK + 255, 0.0, True), "mask > 0"),
    "float mask": ((MAP, MASK.astype(np.float32), 0.0, True), "not uint8 or bool"),
    "list for a mask": ((MAP, MASK.tolist(), 0.0, True), "list, not uint8"),
    "NaN score": ((MAP, MASK, float("nan"), True), "not a finite number"),
    "no score": ((MAP, MASK, None, True), "image score is None"),
    "text for a label": ((MAP, MASK, 0.0, "good"), "True .defective."),
    "good with a defect": ((MAP, MASK + 1, 0.0, False), "good image has a mask"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_and_not_counted(name):
    image, message = REFUSED[name]
    evaluator = Evaluator()
    with pytest.raises(FlawmapError, match=message) as caught:
        evaluator.update(*image)
    assert len(str(caught.value).splitlines()) <= 2
    assert evaluator.compute().images == 0


@pytest.mark.parametrize("options", [{"pro_limit": 0.0}, {"pro_limit": 1.5}, {"max_keys": 1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(FlawmapError, match="pass"):
        Evaluator(**options)


def test_what_is_like_it_but_fine_is_accepted():
    evaluator = Evaluator()
    evaluator.update(MAP[::2, ::-1], (MASK + 1)[::2].astype(bool), np.float32(1), np.bool_(True))
    evaluator.update(MAP.T, None, 0, False)
    assert evaluator.compute().images == 2


def test_a_refused_score_leaves_no_note_of_the_region_behind():
    region, evaluator = np.zeros(MAP.shape, bool), Evaluator()
    with pytest.raises(FlawmapError, match="not a finite number"):
        evaluator.update(MAP, MASK + 1, float("nan"), True, region)
    assert "outside_region" not in evaluator.compute().notes
