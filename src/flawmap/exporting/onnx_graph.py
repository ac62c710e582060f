"""Export the trained method as one ONNX graph: uint8 images to anomaly maps and image scores."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import ImageConv, ImageNorm
from flawmap.exporting.templates import from_template, keep_as_template, structure_of
from flawmap.methods.normality.memory import is_filled
from flawmap.utils.files import write_bytes

OPSET = 18


class InferenceGraph(nn.Module):
    """The network for inference: ``images`` (B, H, W, 3) uint8 RGB to float32 outputs.

    The outputs are ``map`` (B, H, W), ``score`` (B,) and, where the method has them, the
    ``distances`` between teacher and student (B, levels, h, w) and the unfamiliarity to its memory,
    ``unfamiliar`` (B, 1, h, w).
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map images (B, H, W, 3) uint8 to the outputs listed above."""
        x = images.permute(0, 3, 1, 2).float() * (1.0 / 255.0)
        outputs: tuple[Tensor, ...] = self.module(x)
        return outputs


def inference_graph(module: nn.Module) -> InferenceGraph:
    """Copy a trained method's module to the CPU, in float32 and evaluation mode."""
    copied = copy.deepcopy(module).cpu().float()
    copied.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    network = InferenceGraph(copied)
    network.eval()
    return network


def fold_norms(module: nn.Module) -> None:
    """Fold every batch norm, in evaluation mode, into the preceding convolution, in place.

    The preceding convolution is the preceding child of the same parent. The exporter would fold
    norms as well, but only after tracing them. It does so for backbones, whose children may run in
    another order, and whose norms may include an activation.
    """
    others = {id(part) for backbone in _backbones(module) for part in backbone.modules()}
    for parent in [part for part in module.modules() if id(part) not in others]:
        children = list(parent.named_children())
        for (name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())


class _Centred(nn.Module):
    """:class:`ImageNorm` without its division, which the convolutions after it contain."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, image: Tensor) -> Tensor:
        """Subtract the mean colour from (B, 3, H, W) in 0..1; the shape stays."""
        return image - self.mean


def fold_deviation(module: nn.Module) -> None:
    """Fold the norm's deviation into the convolutions that take the normalised image, in place.

    These are the :class:`ImageConv` layers. A module without any, or whose backbone has none and so
    reads the image in another way, keeps its division. The mean cannot be folded: a normalised
    image is padded with zeros, which are the mean colour; an image that is not normalised would be
    padded with black.
    """
    norms = [(name, norm) for name, norm in module.named_modules() if isinstance(norm, ImageNorm)]
    image_convs = [part for part in module.modules() if isinstance(part, ImageConv)]
    if not (norms and image_convs and all(map(_has_image_conv, _backbones(module)))):
        return
    for name, norm in norms:
        module.set_submodule(name, _Centred(norm.mean))
    for conv in image_convs:
        conv.weight.data.div_(norms[0][1].std)


def _backbones(module: nn.Module) -> list[Backbone]:
    return [part for part in module.modules() if isinstance(part, Backbone)]


def _has_image_conv(module: nn.Module) -> bool:
    return any(isinstance(part, ImageConv) for part in module.modules())


def export_onnx(
    module: nn.Module,
    size: tuple[int, int],
    path: Path,
    *,
    has_distances: bool,
    anew: bool = False,
) -> InferenceGraph:
    """Write the ONNX graph for images of ``size`` (height, width) and any batch size.

    Returns the network as trained, not folded: comparing the two also checks the folding.

    The graph's outputs are ``map`` and ``score``. ``distances`` and ``unfamiliar`` stay inner
    values, read by :mod:`flawmap.runtime.inner_values`; ``has_distances`` says whether the former
    exist. ``anew``: trace the network even if a graph of its structure is known.
    """
    network = inference_graph(module)
    folded, names = _folded(network, size), _outputs(module, has_distances)
    structure = structure_of(folded, size, names)
    graph = None if anew else from_template(structure, folded)
    if graph is None:
        graph = _traced(folded, size, names)
        keep_as_template(structure, folded, graph)
    write_bytes(path, graph.SerializeToString())
    return network


def _outputs(module: nn.Module, has_distances: bool) -> list[str]:
    names = ["map", "score"]
    if has_distances:
        names.append("distances")
    if is_filled(module):
        names.append("unfamiliar")
    return names


def _folded(network: InferenceGraph, size: tuple[int, int]) -> nn.Module:
    """Return a copy as it is exported: of this size, with norms folded into convolutions."""
    folded = copy.deepcopy(network).requires_grad_(False)  # else gradients would be traced, too
    for part in _backbones(folded):
        part.fix_size(size)
    fold_norms(folded)
    fold_deviation(folded)
    return folded


def _traced(network: nn.Module, size: tuple[int, int], names: list[str]) -> onnx.ModelProto:
    """Trace a network into a graph whose outputs are the first two of ``names``."""
    example = torch.zeros(2, *size, 3, dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=names,
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    del graph.graph.output[2:]
    _strip(graph.graph)
    return graph


def _strip(graph: onnx.GraphProto) -> None:
    """Remove what the exporter notes beside a graph: stack traces with paths of this machine."""
    values = (*graph.value_info, *graph.input, *graph.output, *graph.initializer)
    for one in (graph, *graph.node, *values):
        del one.metadata_props[:]


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """Silence the exporter's output, which is meant for its own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
