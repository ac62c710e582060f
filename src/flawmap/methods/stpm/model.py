"""STPM (Wang et al., BMVC 2021, arXiv 2103.04257): a student that mimics a teacher's pyramid."""

from __future__ import annotations

from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import ImageNorm
from flawmap.methods.config import present_levels
from flawmap.methods.modules.features import distance_maps
from flawmap.methods.modules.readout import topk_mean
from flawmap.methods.modules.upsample import Upsample
from flawmap.methods.normality.memory import build_memory
from flawmap.methods.stpm.config import StpmConfig


class Stpm(nn.Module):
    """Frozen teacher and a student of the same architecture, both on the whole image."""

    def __init__(self, teacher: Backbone, config: StpmConfig) -> None:
        super().__init__()
        self.config = config
        self.teacher = teacher
        self.student = teacher.student(zero_last_norm=False)
        self.levels = present_levels(config.levels, len(teacher.channels))
        self.memory = build_memory(config.memory)
        self.upsample = Upsample(config.smoothing, config.guidance)
        self.normalise_image = ImageNorm(teacher.mean, teacher.std)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image (B, 3, H, W) in 0..1 to anomaly map, score, distances and unfamiliarity.

        Anomaly map (B, H, W), image score (B,), distances (B, levels, H/s_1, W/s_1), and with a
        filled memory the unfamiliarity of places (B, 1, h, w). The paper's ``½‖T̂ - Ŝ‖²`` of unit
        features is ``1 - cosine``, the levels' distance. The map is their product, or their
        mean if ``read_out`` is sum; a memory raises it at unfamiliar places.
        """
        x = self.normalise_image(image)
        teacher = self.teacher(x)
        distances = distance_maps(teacher, self.student(x))
        chosen = distances[:, [level - 1 for level in self.levels]]
        if self.config.read_out == "product":
            anomaly = chosen.prod(1, keepdim=True)
        else:
            anomaly = chosen.mean(1, keepdim=True)
        unfamiliar = self.memory.unfamiliar(teacher)
        anomaly_map = self.upsample(self.memory.join(anomaly, unfamiliar), image)
        score = self.memory.weigh(topk_mean(anomaly_map, self.config.top_pixels), unfamiliar)
        return anomaly_map, score, distances, *self.memory.outputs(unfamiliar)
