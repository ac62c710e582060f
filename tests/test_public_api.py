"""What ``import flawmap`` promises."""

from __future__ import annotations

import doctest
import inspect
from importlib import metadata, resources

import pytest

import flawmap


@pytest.mark.parametrize("name", flawmap.__all__)
def test_every_name_is_there_and_explains_itself(name: str) -> None:
    found = getattr(flawmap, name)
    assert inspect.getdoc(found)
    assert found.__name__ == name


def test_names_are_those_of_the_contract() -> None:
    assert {"Inspector", "demo", "evaluate", "predict", "train"} <= set(flawmap.__all__)
    assert flawmap.UsageError.__mro__[1] is flawmap.FlawmapError


def test_other_names_are_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = flawmap.nonsense


def test_parameters_that_callers_rely_on() -> None:
    def names(function: object) -> list[str]:
        assert callable(function)
        return list(inspect.signature(function).parameters)

    train = names(flawmap.train)
    assert train[:2] == ["data", "out"]
    assert {
        "method", "preset", "teacher", "textures", "rotate", "steps", "batch_size", "seed",
        "device", "resume", "layout",
    } <= set(train)  # fmt: skip
    assert names(flawmap.evaluate)[:2] == ["run", "data"]
    assert {"json_file", "report"} <= set(names(flawmap.evaluate))
    assert names(flawmap.predict)[:2] == ["run", "images"]
    assert {"out", "json_file"} <= set(names(flawmap.predict))
    assert {"out", "seed"} <= set(names(flawmap.demo))
    assert names(flawmap.Inspector.load)[0] == "run"


def test_version_is_the_installed_one() -> None:
    assert flawmap.__version__ == metadata.version("flawmap")


def test_package_is_typed() -> None:
    assert (resources.files("flawmap") / "py.typed").is_file()


@pytest.mark.parametrize("module", ["flawmap", "flawmap.calibration"])
def test_examples_in_docstrings_run(module: str) -> None:
    import importlib

    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed
