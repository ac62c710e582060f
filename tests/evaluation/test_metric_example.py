"""The worked example of a metric in CONTRIBUTING.md appears everywhere without another change."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

import flawmap
from benchmark.results import result, write_results
from flawmap.benchmark.comparison import compare
from flawmap.benchmark.table import render
from flawmap.cli.console.comparison import show_comparison
from flawmap.cli.console.evaluation import show_evaluation
from flawmap.evaluation.metrics import Evaluator, catalogue, ranking

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("## A metric of your own\n")[2].partition("\n## ")[0]
FUNCTION, ENTRY = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
KEY, HEAD = "image_fpr95", "image FPR95 ↓"
LABELS = st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda x: 0 < sum(x) < len(x))


@pytest.fixture(autouse=True, scope="module")
def in_catalogue() -> Iterator[None]:
    names = set(vars(ranking))
    exec(FUNCTION, vars(ranking))
    (entry,) = eval(f"({textwrap.dedent(ENTRY)})", dict(vars(catalogue)))
    catalogue.METRICS[entry.key] = entry
    yield
    del catalogue.METRICS[entry.key]
    for name in set(vars(ranking)) - names:
        delattr(ranking, name)


@given(LABELS, st.integers(0, 2**32 - 1))
def test_it_is_the_roc_curves_rate(labels: list[bool], seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 9, len(labels)).astype(float)
    evaluator = Evaluator()
    for label, score in zip(labels, scores, strict=True):
        evaluator.update(np.zeros((1, 1), np.float32), None, float(score), label)
    rates, recalls, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert evaluator.compute()[KEY] == pytest.approx(rates[np.argmax(recalls >= 0.95)])


def test_it_is_in_the_file_the_console_and_the_report(
    run_copy: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_file, report = tmp_path / "metrics.json", tmp_path / "report.html"
    found = flawmap.evaluate(run_copy, tiny_data, json_file=json_file, report=report)
    written = json.loads(json_file.read_text(encoding="utf-8"))
    assert list(written)[-6:] == ["iap90", KEY, "images", "instances", "seconds", "notes"]
    assert 0 <= written[KEY] <= 1
    show_evaluation(found)
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith(KEY)]
    assert line.split()[1] == f"{written[KEY]:.4f}"
    assert line.rstrip().endswith(f"{catalogue.METRICS[KEY].meaning}; lower is better")
    page = report.read_text(encoding="utf-8")
    assert page.index("Image F1-max") < page.index(f"I{HEAD[1:]}") < page.index("Pixel AUROC")
    assert catalogue.METRICS[KEY].meaning in page


def test_without_defective_images_it_is_null_with_a_reason() -> None:
    evaluator = Evaluator()
    evaluator.update(np.zeros((2, 2), np.float32), None, 0.0, False)
    found = evaluator.compute()
    assert found[KEY] is None
    assert found.notes[KEY].startswith("no defective image was evaluated")


def test_it_is_in_the_bench_table_and_its_comparisons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = result(), result(commit="def")
    a["figures"][KEY], b["figures"][KEY] = 0.25, 0.125
    heads, _, row = [line.split(" | ") for line in render([a]).splitlines()[:3]]
    assert row[heads.index(f"{HEAD} |")] == "25.0 |"
    found = compare(write_results(tmp_path / "a", a), write_results(tmp_path / "b", b))
    assert found.differences["screw"][KEY].difference == pytest.approx(-0.125)
    show_comparison(found)
    assert "FPR95" in capsys.readouterr().out
