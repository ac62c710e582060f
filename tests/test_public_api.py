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


def test_every_verb_is_a_function_of_the_same_name() -> None:
    from typer.main import get_command

    from flawmap.cli import app

    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]
    others = {
        "FlawmapError", "UsageError", "Inspector", "TrainConfig", "compare", "latency", "watch",
    }  # fmt: skip
    assert set(flawmap.__all__) == verbs - {"info"} | others


def test_errors_of_use_are_errors_too() -> None:
    assert issubclass(flawmap.UsageError, flawmap.FlawmapError)


def test_other_names_are_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = flawmap.nonsense


@pytest.mark.parametrize(
    "verb", ["train", "evaluate", "predict", "calibrate", "regions", "judge", "drift", "export",
             "demo"]
)  # fmt: skip
def test_every_option_of_a_verb_is_a_parameter_of_its_function(verb: str) -> None:
    """Options of another name are named here; those of the runtime are keywords of all verbs."""
    from typer.main import get_command

    from flawmap.cli import app
    from flawmap.runtime.base import RuntimeOptions

    renamed = {"json": "json_file", "set": "changes"}
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]
    options = {renamed.get(p.name, p.name) for p in command.params} - {"help", "watch"}
    parameters = inspect.signature(getattr(flawmap, verb)).parameters
    if "runtime" in parameters:
        options -= set(RuntimeOptions.__annotations__)
    if verb == "train":
        options -= set(flawmap.TrainConfig.model_fields)
    assert options <= set(parameters)


def test_the_first_parameters_may_be_given_by_place() -> None:
    def first(function: object, count: int) -> list[str]:
        assert callable(function)
        return list(inspect.signature(function).parameters)[:count]

    assert first(flawmap.train, 2) == ["data", "out"]
    assert first(flawmap.evaluate, 2) == ["run", "data"]
    assert first(flawmap.predict, 2) == ["run", "images"]
    assert first(flawmap.Inspector.load, 1) == ["run"]


def test_version_is_the_installed_one() -> None:
    assert flawmap.__version__ == metadata.version("flawmap")


def test_package_is_typed() -> None:
    assert (resources.files("flawmap") / "py.typed").is_file()


@pytest.mark.parametrize("module", ["flawmap", "flawmap.inspection.conformal"])
def test_examples_in_docstrings_run(module: str) -> None:
    import importlib

    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed
