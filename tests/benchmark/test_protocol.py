from __future__ import annotations

import pytest

from flawmap.benchmark.protocol import judge

UP = {"image_auroc": 0.01, "pixel_ap": 0.02, "iap": 0.03}
THREE = {"screw": 3, "pill": 3}


def verdict(mean=UP, screw=UP, pill=UP, seeds=THREE, absent=()):
    return judge(mean, {"screw": screw, "pill": pill}, seeds, absent)


def test_all_three_rise_and_nothing_is_lost():
    found = verdict()
    assert found.may_become_default
    assert found.lines()[0].startswith("B may become the default: ")


@pytest.mark.parametrize("key", UP)
@pytest.mark.parametrize("change", [-0.001, 0.0])
def test_each_mean_must_rise(key, change):
    found = verdict(mean=UP | {key: change})
    assert not found.may_become_default
    assert len(found.against) == 1
    assert "does not rise" in found.lines()[0]


@pytest.mark.parametrize("key", UP)
def test_no_product_may_lose_more_than_a_hundredth(key):
    assert verdict(screw=UP | {key: 0.50 - 0.51}).may_become_default
    found = verdict(screw=UP | {key: -0.011}, pill=UP | {key: -0.5})
    assert [line.split(" of ")[0] for line in found.against] == [
        "screw loses 0.011", "pill loses 0.500",
    ]  # fmt: skip
    assert found.lines()[0].startswith("B may not become the default: screw loses 0.011 of ")


def test_other_figures_do_not_decide():
    assert verdict(mean=UP | {"pro": -1}, screw=UP | {"milliseconds": -30}).may_become_default


def test_thin_evidence():
    found = verdict(seeds={"screw": 1, "pill": 2})
    assert not found.may_become_default
    assert found.lines() == [
        "The evidence is too thin: 1 seed where 3 are required (screw 1, pill 2)."
    ]
    assert "2 seeds where 3" in verdict(seeds={"screw": 2, "pill": 3}).lines()[0]
    assert verdict(absent=["nut"]).thin == ("only one side has nut",)
    assert verdict(screw=UP | {"iap": None}).thin == ("IAP is undefined on screw",)
    assert judge(UP, {"screw": UP}, {"screw": 3}).thin == ("one product is not a suite",)


def test_thin_evidence_against_is_said_too():
    found = verdict(mean=UP | {"iap": -0.1}, seeds={"screw": 1, "pill": 1})
    assert [line.split(":")[0] for line in found.lines()] == [
        "The evidence is too thin", "B may not become the default",
    ]  # fmt: skip
