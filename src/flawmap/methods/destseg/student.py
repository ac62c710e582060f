"""DeSTSeg's denoising student (section 3.2): a ResNet-18 encoder and its mirror image.

The encoder sees the corrupted image; the decoder predicts the teacher's features of the clean
one, coarse to fine, without skip connections, so that an anomaly cannot bypass the bottleneck.
"""

from __future__ import annotations

from torch import Tensor, nn

from flawmap.backbones.resnet import Architecture, Features, basic
from flawmap.methods.modules.blocks import conv_norm_relu, init_kaiming, two_blocks, upsample
from flawmap.methods.modules.encoder import ResNetEncoder
from flawmap.types import Size


class Encoder(ResNetEncoder):
    """ResNet-18 without its classifier: adds a fourth stage at stride 32."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        w1, w2, w3, w4 = widths
        super().__init__(basic((w1, w2, w3)), zero_last_norm=True)
        self.layer4 = two_blocks(w3, w4, 2)
        init_kaiming(self.layer4, zero_last_norm=True)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs of all four stages."""
        e1, e2, e3 = self(x)
        return e1, e2, e3, self.layer4(e3)


class Decoder(nn.Module):
    """The encoder reversed: stage 4 inside, stages 3-1 give S3, S2, S1.

    ``widths`` are the decoder's own, ``outputs`` the teacher's. Where they differ, a 1x1
    convolution with norm and ReLU converts (at full width it is absent, as in the paper).
    """

    def __init__(
        self, bottom: int, widths: tuple[int, int, int], outputs: tuple[int, int, int]
    ) -> None:
        super().__init__()
        w1, w2, w3 = widths
        self.stage4 = two_blocks(bottom, bottom)
        self.stage3 = two_blocks(bottom, w3)
        self.stage2 = two_blocks(w3, w2)
        self.stage1 = two_blocks(w2, w1)
        self.lift = nn.ModuleList(
            nn.Identity() if inner == outer else conv_norm_relu(inner, outer, 1)
            for inner, outer in zip(widths, outputs, strict=True)
        )
        init_kaiming(self)

    def forward(self, encoded: tuple[Tensor, Tensor, Tensor, Tensor]) -> Features:
        e1, e2, e3, e4 = encoded
        d3 = self.stage3(upsample(self.stage4(e4), _size(e3)))  # (B, w3, H/16, W/16)
        d2 = self.stage2(upsample(d3, _size(e2)))  # (B, w2, H/8, W/8)
        d1 = self.stage1(upsample(d2, _size(e1)))  # (B, w1, H/4, W/4)
        return self.lift[0](d1), self.lift[1](d2), self.lift[2](d3)


def _size(x: Tensor) -> Size:
    return x.shape[-2], x.shape[-1]


class Student(nn.Module):
    """The paper's student: an encoder of its own; ``width`` 0.5 halves every inner width."""

    def __init__(self, width: float, outputs: tuple[int, int, int]) -> None:
        super().__init__()
        w1, w2, w3, w4 = _widths(width)
        self.encoder = Encoder((w1, w2, w3, w4))
        self.decoder = Decoder(w4, (w1, w2, w3), outputs)

    def forward(self, image: Tensor, teacher: Features) -> Features:
        """Predict clean features from the normalised corrupted image (B, 3, H, W) alone."""
        del teacher
        features: Features = self.decoder(self.encoder.encode(image))
        return features


class PlainStudent(nn.Module):
    """A student without a decoder: the features are its encoder's own (Table 4, "ed" off)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(architecture, zero_last_norm=True)

    def forward(self, image: Tensor, teacher: Features) -> Features:
        """Predict features from the normalised image (B, 3, H, W) alone."""
        del teacher
        features: Features = self.encoder(image)
        return features


class LightDecoder(nn.Module):
    """A decoder that narrows before it upsamples, to compute little at the large sizes.

    Each level: 1x1 convolution with norm to its own width, upsampling by 2, two residual blocks,
    and a lift to the teacher's width as in :class:`Decoder`.
    """

    def __init__(
        self, bottom: int, widths: tuple[int, int, int], outputs: tuple[int, int, int]
    ) -> None:
        super().__init__()
        w1, w2, w3 = widths
        self.bottom = two_blocks(bottom, bottom)
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, thin, 1, bias=False), nn.BatchNorm2d(thin))
            for wide, thin in ((w2, w1), (w3, w2), (bottom, w3))
        )
        self.stages = nn.ModuleList(two_blocks(w, w) for w in widths)
        self.lift = nn.ModuleList(
            conv_norm_relu(inner, outer, 1) for inner, outer in zip(widths, outputs, strict=True)
        )
        init_kaiming(self)

    def forward(self, bottom: Tensor, sizes: tuple[Size, Size, Size]) -> Features:
        """Predict features of ``sizes`` (height, width), finest first, from (B, C, H/32, W/32)."""
        x, found = self.bottom(bottom), []
        for level in (2, 1, 0):
            x = self.stages[level](upsample(self.narrow[level](x), sizes[level]))
            found.append(self.lift[level](x))
        return found[2], found[1], found[0]


class GuidedStudent(nn.Module):
    """A student whose encoder is the frozen teacher; only bottleneck and decoder learn.

    This is the architecture of reverse distillation (Deng & Li, CVPR 2022) with DeSTSeg's denoising
    task. No encoder has to be trained, and the teacher runs once for both networks. The
    bottleneck is as wide as the decoder's coarsest level: half of the mirrored ResNet's learns as
    much (same loss after 400 steps) in two thirds of the time.
    """

    def __init__(self, width: float, outputs: tuple[int, int, int]) -> None:
        super().__init__()
        w1, w2, w3, _ = _widths(width)
        self.bottleneck = two_blocks(outputs[2], w3, 2)
        init_kaiming(self.bottleneck, zero_last_norm=True)
        self.decoder = LightDecoder(w3, (w1, w2, w3), outputs)

    def forward(self, image: Tensor, teacher: Features) -> Features:
        """Predict clean features from the teacher's (B, w_k, H_k, W_k) of the corrupted image."""
        del image
        sizes = (_size(teacher[0]), _size(teacher[1]), _size(teacher[2]))
        features: Features = self.decoder(self.bottleneck(teacher[2]), sizes)
        return features


def _widths(width: float) -> tuple[int, int, int, int]:
    w1, w2, w3, w4 = (int(width * w) for w in (64, 128, 256, 512))
    return w1, w2, w3, w4
