import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from flawmap.evaluation.metrics.counting.steps import steps
from flawmap.evaluation.metrics.counting.tally import Tally
from flawmap.evaluation.metrics.ranking import auroc, average_precision, f1_max

from .reference import f1_max as reference_f1_max

TIED = st.lists(st.integers(-4, 4), min_size=1, max_size=30)
FINE = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=30)


@given(st.one_of(st.tuples(TIED, TIED), st.tuples(FINE, FINE)))
def test_figures_are_scikit_learns(pair):
    positive, negative = (np.array(p, float) for p in pair)
    s = steps(Tally.of_keys(positive), Tally.of_keys(negative))
    scores = np.r_[positive, negative]
    labels = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
    assert auroc(s) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(s) == pytest.approx(average_precision_score(labels, scores))
    assert f1_max(s) == pytest.approx(reference_f1_max(labels, scores))
