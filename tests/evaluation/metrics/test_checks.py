import numpy as np
import pytest

from flawmap.errors import FlawmapError
from flawmap.evaluation.metrics import Evaluator

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
