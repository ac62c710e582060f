"""The interface of a backbone to methods, training and export.

A backbone is a frozen network that turns an image into feature levels, finest first. Any number of
levels (at least one) with any strides is allowed; timm's ``feature_info.channels()`` and
``.reduction()`` are ``channels`` and ``strides``.
"""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from flawmap.backbones.features import Features, Triple
from flawmap.backbones.student import LevelStudent, Student

UNKNOWN_LICENCE = "not known"


class Backbone(nn.Module):
    """Base class of a frozen feature extractor, always in evaluation mode.

    A subclass sets the attributes below, on the class or in its ``__init__``, which ends with
    :meth:`freeze`, and implements :meth:`forward`. Of its convolutions that read the image, either
    all should be ``ImageConv`` layers or none.
    """

    channels: tuple[int, ...]
    """Channels of each level, finest first."""
    strides: tuple[int, ...]
    """Image pixels per position of each level and side, in the same order; never decreasing."""
    mean: Triple
    std: Triple
    """Mean and standard deviation of RGB in 0..1 by which images are normalised."""
    size_multiple: int
    """Image height and width are multiples of this many pixels (a multiple of every stride)."""
    weights_licence: str = UNKNOWN_LICENCE
    """Licence of the weights, shown by ``flawmap info`` and stored in the manifest."""
    signed: bool = False
    """Whether levels may be negative; students then do not end in a ReLU."""
    stem_channels: int = 0
    """Channels of an additional level before the first, see :meth:`with_stem`; 0: there is none.

    A backbone that has it overrides :meth:`student`; that student's ``stem`` has this shape."""
    stem_stride: int = 0
    """Stride of that level."""

    def freeze(self) -> Self:
        """Disable gradients permanently, and return the backbone."""
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: a backbone is never trained."""
        del mode
        return super().train(False)

    def forward(self, x: Tensor) -> Features:
        """Map a normalised image (B, 3, H, W) to levels (B, c_k, H/s_k, W/s_k), finest first."""
        raise NotImplementedError

    def with_stem(self, x: Tensor) -> Features:
        """Map a normalised image to the stem's level (B, stem_channels, ...) and all others."""
        raise NotImplementedError

    def student(self, *, zero_last_norm: bool) -> Student:
        """Build a randomly initialised network whose levels have this backbone's shapes.

        The default is made of ResNet blocks; a backbone may offer a trainable copy of its
        own architecture.
        ``zero_last_norm``: residual blocks start as their short cuts.
        """
        return LevelStudent(
            self.channels, self.strides, zero_last_norm=zero_last_norm, signed=self.signed
        )
