"""Rule for when a change may become the default: the mean rises, and no product loses much.

The rule was written down in ``docs/suite.md`` before anything was measured by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flawmap.evaluation.metrics.catalogue import METRICS

DECIDING = ("image_auroc", "pixel_ap", "iap")
"""Keys of the metrics that decide, one of each level, whatever else the catalogue has."""
LOSS = 0.01
SEEDS = 3
PRODUCTS = 2
_ROUNDED = 9  # digits, so that a loss from .51 to .50 does not exceed .01

Differences = Mapping[str, float | None]
"""B - A by metric; None where it is not defined."""


@dataclass(frozen=True)
class Verdict:
    """Whether B may become the default, with all reasons against it.

    ``thin``: what the evidence lacks; ``against``: results that speak against B.
    """

    thin: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def may_become_default(self) -> bool:
        """Whether the evidence suffices and nothing speaks against B."""
        return not self.thin and not self.against

    def lines(self) -> list[str]:
        """Sentences that state the verdict."""
        if self.may_become_default:
            *names, last = (METRICS[key].name for key in DECIDING)
            return [
                f"B may become the default: the means of {', '.join(names)} and {last} rise, and "
                f"no product loses more than {LOSS:g} in any of them."
            ]
        lines = [f"The evidence is too thin: {'; '.join(self.thin)}."] if self.thin else []
        if self.against:
            lines.append(f"B may not become the default: {'; '.join(self.against)}.")
        return lines


def judge(
    mean: Differences,
    products: Mapping[str, Differences],
    seeds: Mapping[str, int],
    absent: Sequence[str] = (),
) -> Verdict:
    """Apply the protocol to differences in the mean and by product.

    ``seeds``: number of seeds by product; ``absent``: products that only one side has.
    """
    thin = []
    few = {name: count for name, count in seeds.items() if count < SEEDS}
    if few:
        counts = ", ".join(f"{name} {count}" for name, count in few.items())
        fewest = min(few.values())
        word = "seed" if fewest == 1 else "seeds"
        thin.append(f"{fewest} {word} where {SEEDS} are required ({counts})")
    if len(products) < PRODUCTS:
        thin.append("one product is not a suite")
    if absent:
        thin.append(f"only one side has {', '.join(absent)}")
    against = []
    for key in DECIDING:
        name = METRICS[key].name
        values = {product: metrics.get(key) for product, metrics in products.items()}
        if missing := [product for product, value in values.items() if value is None]:
            thin.append(f"{name} is undefined on {', '.join(missing)}")
        change = mean.get(key)
        if change is not None and round(change, _ROUNDED) <= 0:
            against.append(f"the mean of {name} does not rise ({change:+.3f})")
        against += [
            f"{product} loses {-value:.3f} of {name}"
            for product, value in values.items()
            if value is not None and round(value, _ROUNDED) < -LOSS
        ]
    return Verdict(tuple(thin), tuple(against))
