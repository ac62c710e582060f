"""Templates: ONNX graphs of networks that were exported before, for others of the same structure.

Tracing a network takes many seconds of a core. Trainings of one preset, fold models, and a run and
its refinement differ in their weights alone, and the graph holds these under their own names: they
are put into a graph that was traced before, by this process or another, which gives the same bytes
as tracing anew. What the tracer computed from weights, so that they have no place of their own,
must be equal, or the template is not used.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import FunctionType

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from pydantic import BaseModel
from torch import nn

from flawmap.exporting.template_files import Template, read_template, write_template

_MOST = 4
_OWN = frozenset(vars(nn.Module()))  # attributes that every module has
_PLAIN = (bool, int, float, str, bytes, type(None), BaseModel, torch.device, torch.dtype)


_templates: dict[str, Template] = {}


class _UnknownError(Exception):
    """A value may hold anything."""


def structure_of(network: nn.Module, size: Sequence[int], outputs: Sequence[str]) -> str:
    """Return a digest of all that a traced graph depends on, except the values of weights.

    It is empty, and no template is kept or found, if a module has an attribute that may hold
    anything.
    """
    found = hashlib.sha256(repr((tuple(size), tuple(outputs))).encode())
    try:
        for part in _parts(network):
            found.update(part.encode() + b"\0")
    except _UnknownError:
        return ""
    return found.hexdigest()


def from_template(structure: str, network: nn.Module) -> onnx.ModelProto | None:
    """Return the graph of a network by the template of its structure; None if there is none."""
    template = _templates.get(structure) or read_template(structure, network)
    if template is None:
        return None
    state = _state(network)
    if template.others != _digest_of_others(state, template.named):
        return None
    graph: onnx.ModelProto = onnx.ModelProto.FromString(template.graph)
    for tensor in graph.graph.initializer:
        if tensor.name in template.named:
            tensor.raw_data = state[tensor.name].tobytes()
    return graph


def keep_as_template(structure: str, network: nn.Module, graph: onnx.ModelProto) -> None:
    """Keep a network's graph, without its weights, for others of its structure."""
    if not structure:
        return
    state, named = _state(network), []
    emptied = onnx.ModelProto()
    emptied.CopyFrom(graph)
    for tensor in emptied.graph.initializer:
        value = state.get(tensor.name)
        if value is None or not tensor.raw_data or _may_be_a_constant(value):
            continue
        if _equal(numpy_helper.to_array(tensor), value):
            tensor.raw_data = b""
            named.append(tensor.name)
    template = Template(emptied.SerializeToString(), tuple(named), _digest_of_others(state, named))
    write_template(structure, network, template)
    _templates.pop(structure, None)
    while len(_templates) >= _MOST:
        _templates.pop(next(iter(_templates)))
    _templates[structure] = template


def _parts(network: nn.Module) -> Iterator[str]:
    for name, module in network.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in _OWN}
        kind = type(module)
        yield f"{name} {kind.__module__}.{kind.__qualname__} {module.training}"
        yield from (f"{key}={_shown(value)}" for key, value in sorted(own.items()))
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        yield f"{name} {tuple(tensor.shape)} {tensor.dtype}"


def _shown(value: object) -> str:
    """Return a text that is equal for equal values only; raise _UnknownError if there is none."""
    if isinstance(value, _PLAIN):
        return f"{type(value).__qualname__} {value!r}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__qualname__}({', '.join(map(_shown, value))})"
    if isinstance(value, dict):
        return f"dict{_shown(list(value.items()))}"
    if isinstance(value, functools.partial):
        return f"partial{_shown((value.func, value.args, value.keywords))}"
    if is_dataclass(value) and not isinstance(value, type):
        own = [getattr(value, one.name) for one in fields(value)]
        return f"{type(value).__qualname__}{_shown(own)}"
    if isinstance(value, (type, FunctionType)) and not getattr(value, "__closure__", None):
        return f"{value.__module__}.{value.__qualname__}"
    raise _UnknownError


def _state(network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Return all weights and buffers by name, those included that are not stored."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    return {name: tensor.detach().contiguous().numpy() for name, tensor in tensors}


def _may_be_a_constant(value: NDArray[np.generic]) -> bool:
    """Whether a single value has few digits, as constants of the code have.

    The exporter stores equal tensors once: such a value may stand for a constant, too.
    """
    return value.size == 1 and bool(value == np.array(float(f"{value.item():.4g}"), value.dtype))


def _equal(one: NDArray[np.generic], two: NDArray[np.generic]) -> bool:
    return one.dtype == two.dtype and one.shape == two.shape and one.tobytes() == two.tobytes()


def _digest_of_others(state: Mapping[str, NDArray[np.generic]], named: Sequence[str]) -> str:
    found, own = hashlib.sha256(), frozenset(named)
    for name in sorted(state.keys() - own):
        found.update(name.encode() + b"\0" + state[name].tobytes())
    return found.hexdigest()
