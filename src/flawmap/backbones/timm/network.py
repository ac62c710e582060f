"""A frozen backbone of any timm network that gives features, convolutional or transformer."""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import math
import textwrap
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from flawmap.backbones.base import UNKNOWN_LICENCE, Backbone
from flawmap.backbones.features import Features, Triple
from flawmap.backbones.timm.levels import choose_levels
from flawmap.backbones.timm.library import timm
from flawmap.errors import FlawmapError, UsageError
from flawmap.types import Size

PREFIX = "timm:"
_ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True},  # vision transformers
    {"strict_img_size": False},  # Swin
    {},
)
_CLOSE = 3  # names suggested in place of an unknown one
_SHORT = 160  # characters of another program's message
_log = logging.getLogger("timm.models._builder")
_PROBED = 64  # pixels: least side of the image that shows what a network gives


class TimmBackbone(Backbone):
    """Levels of a timm network, chosen by :func:`choose_levels`; its configuration says the rest.

    ``weights``: in the layout of timm's files, without a classifier; None leaves them random.
    Raises UsageError if timm has no such network or it gives no features, FlawmapError if the
    weights do not fit.
    """

    def __init__(
        self, name: str, weights: dict[str, Tensor] | None = None, licence: str = UNKNOWN_LICENCE
    ) -> None:
        super().__init__()
        self._name = name
        channels, strides = offered_levels(name)
        levels = choose_levels(strides)
        self.network = _create(name, weights, out_indices=levels)
        self.channels = tuple(channels[level] for level in levels)
        self.strides = tuple(strides[level] for level in levels)
        config = timm().data.resolve_data_config({}, model=self.network)
        used, whole, usual = math.lcm(*self.strides), math.lcm(*strides), config["input_size"][-1]
        self._multiples = dict.fromkeys((used, whole, math.lcm(whole, usual)))
        self.mean, self.std = _triple(config["mean"]), _triple(config["std"])
        self.weights_licence = licence
        self._channels_last = "NHWC" in str(getattr(self.network, "output_fmt", ""))
        self.freeze()
        self.probe()

    def forward(self, x: Tensor) -> Features:
        """Map a normalised image (B, 3, H, W) to levels (B, c_k, H/s_k, W/s_k), finest first."""
        levels = self.network(x)
        if self._channels_last:
            levels = [level.permute(0, 3, 1, 2) for level in levels]
        return tuple(levels)

    def fix_size(self, size: Size) -> None:
        """Store a transformer's position embedding for images of ``size``, in place."""
        model = getattr(self.network, "model", None)
        if getattr(model, "dynamic_img_size", False):
            model = cast(Any, model)
            model.set_input_size(img_size=size)
            model.dynamic_img_size = False
            model.patch_embed.flatten = True

    def probe(self) -> None:
        """Run the network once: what its sizes are multiples of, and whether levels are signed.

        Raises UsageError if its levels do not have their shapes.
        """
        *others, last = self._multiples
        for multiple in others:  # HRNet needs that of levels that are not used, MaxViT its windows'
            with contextlib.suppress(UsageError):
                return self._probe(multiple)
        return self._probe(last)

    @torch.no_grad()
    def _probe(self, multiple: int) -> None:
        step = -(-_PROBED // multiple)
        height, width = step * multiple, (step + 1) * multiple
        image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        expected = [
            (1, channels, height // stride, width // stride)
            for channels, stride in zip(self.channels, self.strides, strict=True)
        ]
        try:
            levels = self(image)
        except Exception as error:  # timm's networks raise whatever they like
            raise UsageError(_unusable(self._name, _short(error))) from error
        given = [tuple(level.shape) for level in levels]
        if given != expected:
            raise UsageError(_unusable(self._name, f"levels of {given}, not {expected}"))
        self.size_multiple = multiple
        self.signed = any(bool((level < 0).any()) for level in levels)


def check_name(name: str) -> None:
    """Raise UsageError, with close matches, if timm has no network or no weights of this name."""
    library = timm()
    architecture, _, tag = name.partition(".")
    if not library.is_model(architecture):
        close = difflib.get_close_matches(architecture, library.list_models(), _CLOSE)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "see timm's models."
        raise UsageError(f"timm has no model {architecture!r}: {hint}")
    tags = [one.partition(".")[2] for one in library.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UsageError(f"timm has no weights {name!r}; of {architecture}: {', '.join(tags)}.")


@functools.cache
def offered_levels(name: str) -> tuple[list[int], list[int]]:
    """Return channels and strides of all levels that a network offers; UsageError if none."""
    try:
        with torch.device("meta"):  # no time for weights that nobody needs
            found = _create(name).feature_info
    except UsageError:  # some cannot be built there
        found = _create(name).feature_info
    info = cast(Any, found).info
    return [int(one["num_chs"]) for one in info], [int(one["reduction"]) for one in info]


def _create(name: str, weights: dict[str, Tensor] | None = None, **options: Any) -> nn.Module:
    """Build a network that takes images of any size, if it can; FlawmapError if that fails."""
    options |= {"features_only": True, "num_classes": 0}
    if weights is not None:  # "classifier": None makes timm refuse most weights that lack a layer
        overlay = {"state_dict": weights, "classifier": None, "custom_load": False}
        options |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
    for sizes in _ANY_SIZE:
        try:
            with _messages() as messages:
                found = timm().create_model(name, **options, **sizes)
        except TypeError as error:
            if not any(key in str(error) for key in sizes):
                raise _not_built(name, weights, _short(error)) from error
            continue
        except Exception as error:  # timm's networks raise whatever they like
            raise _not_built(name, weights, _short(error)) from error
        for message in messages:
            if message.startswith("Missing keys"):
                raise _not_built(name, weights, message)
        return cast(nn.Module, found)
    raise AssertionError("the last attempt has no options to refuse")


@contextlib.contextmanager
def _messages() -> Iterator[list[str]]:
    """Collect what timm logs while it loads weights: the only word on layers that are missing."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    before = _log.level, _log.propagate
    _log.addHandler(handler)
    _log.propagate = False
    _log.setLevel(logging.INFO)
    try:
        yield found
    finally:
        _log.removeHandler(handler)
        _log.propagate = before[1]
        _log.setLevel(before[0])


def _not_built(name: str, weights: dict[str, Tensor] | None, why: str) -> FlawmapError:
    if weights is not None:
        short = textwrap.shorten(why, _SHORT, placeholder=" …")
        return FlawmapError(f"these weights do not fit timm's {name} ({short}).")
    return UsageError(f"{PREFIX}{name} offers no features that flawmap can use ({why}).")


def _unusable(name: str, why: str) -> str:
    return (
        f"{PREFIX}{name} gives no features of images of any size ({why}): choose another teacher."
    )


def _short(error: Exception) -> str:
    """Return the last line of a message, which says most in torch's lists of wrong layers."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[-1].strip(), _SHORT, placeholder=" …")


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
