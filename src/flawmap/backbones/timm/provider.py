"""How ``timm:NAME`` and ``timm:NAME@FILE`` become a backbone."""

from __future__ import annotations

from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.provider import Provider, TeacherSource
from flawmap.backbones.timm.network import PREFIX, TimmBackbone, check_name, offered_levels
from flawmap.backbones.timm.weights import find_weights
from flawmap.errors import FlawmapError, UsageError


def timm_provider(spec: str) -> Provider:
    """Return how the backbone of ``timm:NAME``, with or without ``@FILE``, is made."""
    name, _, file = spec.removeprefix(PREFIX).partition("@")

    def load(spec: str) -> tuple[Backbone, TeacherSource]:
        del spec
        check_name(name)
        offered_levels(name)  # refuse a network without levels before its weights are downloaded
        found = find_weights(name, file)
        try:
            backbone = TimmBackbone(name, found.tensors, found.licence)
        except UsageError:
            raise
        except FlawmapError as error:
            raise FlawmapError(f"{found.file}: {error}") from error
        known = PREFIX + name
        return backbone, TeacherSource(known, found.file, found.sha256, known)

    def rebuild(state: dict[str, Tensor]) -> Backbone:
        check_name(name)
        backbone = TimmBackbone(name)
        backbone.load_state_dict(state)
        backbone.probe()
        return backbone

    return Provider(load, rebuild)
