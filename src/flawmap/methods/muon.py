"""NormedMuon: Muon's orthogonalised momentum for convolutions followed by a norm.

Muon is by K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024,
https://kellerjordan.github.io/posts/muon/). A plain step follows the few directions in which the
gradient is large; the orthogonal step learns all of them at once. NormedMuon differs from it:

- Weights have a fixed length, the square root of their number of outputs, to which each is scaled
  before a step: the norm after a convolution cancels the convolution's scale.
- A step's length is ``lr`` times that length, whatever the matrix's shape (0.1 is a tenth of the
  weight's length); the reference scales steps by the shape. There is no weight decay.
- The Newton-Schulz iteration runs in float32 on the small Gram matrix, which gives the same
  result as the reference's bf16 iteration on the matrix itself, but for rounding.

Configurations call it ``muon``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# The reference's quintic: it brings every singular value to about 1 in five rounds.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ROUNDS = 5
_TINY = 1e-12


def scale_free(module: nn.Module) -> list[Tensor]:
    """Return the weights of convolutions followed by a norm: here those without a bias."""
    return [m.weight for m in module.modules() if isinstance(m, nn.Conv2d) and m.bias is None]


def orthogonal(matrix: Tensor) -> Tensor:
    """Approximate ``U·Vᵀ`` of a matrix's singular value decomposition; singular values 0.7..1.2.

    The Newton-Schulz rounds run on the small square matrix ``M·Mᵀ``, and the large matrix is
    multiplied once: ``X ← (a + bA + cA²)X`` keeps ``X = P·M``, with ``A = X·Xᵀ`` following
    ``A ← Q·A·Q``.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / torch.linalg.vector_norm(wide).clamp(min=_TINY)
    gram = wide @ wide.T
    product: Tensor | None = None
    for round_ in range(_ROUNDS):
        factor = torch.addmm(gram, gram, gram, beta=_B, alpha=_C)
        factor.diagonal().add_(_A)
        product = factor if product is None else factor @ product
        if round_ < _ROUNDS - 1:
            gram = factor @ gram @ factor
    assert product is not None
    result: Tensor = product @ wide
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


class NormedMuon(torch.optim.Optimizer):
    """Optimiser with steps of relative length ``lr`` along each weight's orthogonal momentum.

    The momentum is Nesterov's. ``groups``: dictionaries with ``lr`` and ``params``, weights of two
    dimensions or more, outputs first, whose scale does not matter.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": 0.1, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient; ``closure`` is not used."""
        del closure
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group["lr"], group["momentum"])

    def _update(self, weight: Tensor, gradient: Tensor, rate: float, momentum: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        mean: Tensor = state["momentum_buffer"]
        mean.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(mean, momentum)
        last = ahead.movedim(1, -1)  # so channels-last weights become matrices without a copy
        step = orthogonal(last.reshape(len(last), -1)).view(last.shape).movedim(-1, 1)
        length = len(weight) ** 0.5
        weight.mul_(length / torch.linalg.vector_norm(weight).clamp(min=_TINY))
        weight.sub_(step.mul_(rate * length / torch.linalg.vector_norm(step).clamp(min=_TINY)))
