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
    from flawmap.cli import app

    verbs = set(app.commands)
    others = {
        "FlawmapError", "UsageError", "Inspector", "TrainConfig", "compare", "compare_with_parent",
        "latency", "watch",
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
    """Those of the runtime are keywords of all verbs; train has the fields of TrainConfig."""
    from flawmap.cli import app
    from flawmap.runtime.base import RuntimeOptions

    options = {parameter.name for parameter in app.commands[verb].params} - {"watch"}
    parameters = inspect.signature(getattr(flawmap, verb)).parameters
    if "runtime" in parameters:
        options -= set(RuntimeOptions.__annotations__)
    assert options <= set(parameters)


def test_the_options_of_train_are_the_fields_of_its_configuration() -> None:
    """TrainConfig alone declares them: names, defaults, help."""
    import click

    from flawmap.cli import app

    command = app.commands["train"]
    every = command.get_params(click.Context(command))
    parameters = {p.name: p for p in every if "--help" not in p.opts}
    fields = flawmap.TrainConfig.model_fields
    assert parameters.keys() - fields.keys() == {"data", "out", "resume"}
    assert fields.keys() - parameters.keys() == set()
    for name, field in fields.items():
        option = parameters[name]
        assert isinstance(option, click.Option)
        assert option.help == " ".join((field.description or "").split())
        assert name == "changes" or option.default == field.default


def test_the_first_parameters_may_be_given_by_place() -> None:
    def first(function: object, count: int) -> list[str]:
        assert callable(function)
        return list(inspect.signature(function).parameters)[:count]

    assert first(flawmap.train, 3) == ["data", "out", "config"]
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
