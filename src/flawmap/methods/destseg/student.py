"""DeSTSeg's denoising student (section 3.2): a ResNet-18 encoder and its mirror image.

The encoder reads the corrupted image; the decoder predicts the backbone's features of the clean
one, coarse to fine, without skip connections, so that an anomaly cannot bypass the bottleneck.
Inner widths are ResNet-18's at the same stride: 64 at stride 4, doubled with it, up to 512.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.blocks import init_kaiming, two_blocks
from flawmap.backbones.features import Features
from flawmap.backbones.student import LevelStudent
from flawmap.methods.modules.blocks import conv_norm_relu, upsample
from flawmap.types import Size

_PER_STRIDE, _WIDEST = 16, 512  # ResNet-18's channels for each pixel of stride, and at most


class Encoder(LevelStudent):
    """ResNet-18 without its classifier: one more stage at twice the coarsest stride.

    ``widths``: channels of the levels, finest first, and of that last stage.
    """

    def __init__(self, widths: Sequence[int], strides: Sequence[int] = (4, 8, 16)) -> None:
        super().__init__(widths[:-1], strides, zero_last_norm=True)
        self.last = f"layer{len(widths)}"
        bottom = two_blocks(widths[-2], widths[-1], 2)
        init_kaiming(bottom, zero_last_norm=True)
        self.add_module(self.last, bottom)

    def encode(self, x: Tensor) -> Features:
        """Map (B, 3, H, W) to the levels (B, w_k, H/s_k, W/s_k) and the last stage's output."""
        levels = self(x)
        return *levels, self.get_submodule(self.last)(levels[-1])


class Decoder(nn.Module):
    """The encoder reversed: its last stage inside, the others give S_n ... S_1.

    ``widths`` are the decoder's own, ``outputs`` the backbone's. Where they differ, a 1x1
    convolution with norm and ReLU converts (at full width it is absent, as in the paper).
    ``signed``: a plain 1x1 convolution converts, as features may be negative.
    """

    def __init__(
        self, bottom: int, widths: Sequence[int], outputs: Sequence[int], *, signed: bool = False
    ) -> None:
        super().__init__()
        self.stages = [f"stage{number}" for number in range(1, len(widths) + 2)]
        before = (*widths[1:], bottom, bottom)
        steps = zip(self.stages, before, (*widths, bottom), strict=True)
        for name, inputs, width in reversed(list(steps)):
            self.add_module(name, two_blocks(inputs, width))
        self.lift = nn.ModuleList(
            nn.Identity() if inner == outer and not signed else _lift(inner, outer, signed)
            for inner, outer in zip(widths, outputs, strict=True)
        )
        init_kaiming(self)

    def forward(self, encoded: Features) -> Features:
        """Map the encoder's outputs to features (B, outputs_k, H_k, W_k), finest first."""
        x, features = self.get_submodule(self.stages[-1])(encoded[-1]), []
        for level in reversed(range(len(self.lift))):
            x = self.get_submodule(self.stages[level])(upsample(x, _size(encoded[level])))
            features.append(self.lift[level](x))
        return tuple(reversed(features))


def _size(x: Tensor) -> Size:
    return x.shape[-2], x.shape[-1]


def _lift(inner: int, outer: int, signed: bool) -> nn.Module:
    return nn.Conv2d(inner, outer, 1) if signed else conv_norm_relu(inner, outer, 1)


class Student(nn.Module):
    """The paper's student: an encoder of its own; ``width`` 0.5 halves every inner width."""

    def __init__(self, width: float, teacher: Backbone) -> None:
        super().__init__()
        widths = _widths(width, teacher.strides)
        self.encoder = Encoder(widths, teacher.strides)
        self.decoder = Decoder(widths[-1], widths[:-1], teacher.channels, signed=teacher.signed)

    def forward(self, image: Tensor, teacher: Features) -> Features:
        """Predict clean features (B, c_k, H_k, W_k) from the corrupted image (B, 3, H, W) alone."""
        del teacher
        features: Features = self.decoder(self.encoder.encode(image))
        return features


class PlainStudent(nn.Module):
    """A student without a decoder: the features are its encoder's own (Table 4, "ed" off)."""

    def __init__(self, teacher: Backbone) -> None:
        super().__init__()
        self.encoder = teacher.student(zero_last_norm=True)

    def forward(self, image: Tensor, teacher: Features) -> Features:
        """Predict features (B, c_k, H_k, W_k) from the normalised image (B, 3, H, W) alone."""
        del teacher
        features: Features = self.encoder(image)
        return features


class LightDecoder(nn.Module):
    """A decoder that narrows before it upsamples, to compute little at the large sizes.

    Each level: 1x1 convolution with norm to its own width, upsampling, two residual blocks, and a
    lift to the backbone's width as in :class:`Decoder`.
    """

    def __init__(
        self, bottom: int, widths: Sequence[int], outputs: Sequence[int], *, signed: bool = False
    ) -> None:
        super().__init__()
        self.bottom = two_blocks(bottom, bottom)
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, thin, 1, bias=False), nn.BatchNorm2d(thin))
            for wide, thin in zip((*widths[1:], bottom), widths, strict=True)
        )
        self.stages = nn.ModuleList(two_blocks(w, w) for w in widths)
        self.lift = nn.ModuleList(
            _lift(inner, outer, signed) for inner, outer in zip(widths, outputs, strict=True)
        )
        init_kaiming(self)

    def forward(self, bottom: Tensor, sizes: Sequence[Size]) -> Features:
        """Map (B, C, h, w) to features (B, outputs_k, H_k, W_k) of ``sizes``, finest first."""
        x, features = self.bottom(bottom), []
        for level in reversed(range(len(sizes))):
            x = self.stages[level](upsample(self.narrow[level](x), sizes[level]))
            features.append(self.lift[level](x))
        return tuple(reversed(features))


class GuidedStudent(nn.Module):
    """A student whose encoder is the frozen backbone; only bottleneck and decoder learn.

    This is the architecture of reverse distillation (Deng & Li, CVPR 2022) with DeSTSeg's denoising
    task. No encoder has to be trained, and the backbone runs once for both networks. The
    bottleneck is as wide as the decoder's coarsest level: half of the mirrored ResNet's learns as
    much (same loss after 400 steps) in two thirds of the time.
    """

    def __init__(self, width: float, teacher: Backbone) -> None:
        super().__init__()
        widths = _widths(width, teacher.strides)[:-1]
        self.bottleneck = two_blocks(teacher.channels[-1], widths[-1], 2)
        init_kaiming(self.bottleneck, zero_last_norm=True)
        self.decoder = LightDecoder(widths[-1], widths, teacher.channels, signed=teacher.signed)

    def forward(self, image: Tensor, teacher: Features) -> Features:
        """Predict clean features from the backbone's (B, c_k, H_k, W_k) of the corrupted image."""
        del image
        sizes = [_size(level) for level in teacher]
        features: Features = self.decoder(self.bottleneck(teacher[-1]), sizes)
        return features


def _widths(width: float, strides: Sequence[int]) -> tuple[int, ...]:
    """Return the inner channels of the levels, finest first, and of the last stage."""
    full = [min(_WIDEST, _PER_STRIDE * stride) for stride in (*strides, 2 * strides[-1])]
    return tuple(max(1, int(width * one)) for one in full)
