"""When a change may become the default: by the suite's mean, and at no product's cost.

The rule is written in ``docs/suite.md``, before anything is measured by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DECIDING = {"image_auroc": "image AUROC", "pixel_ap": "pixel AP", "iap": "IAP"}
LOSS = 0.01
SEEDS = 3
PRODUCTS = 2
_ROUNDED = 9  # digits: .50 - .51 is no more than .01

Differences = Mapping[str, float | None]
"""B - A of the figures; None where it is not defined."""


@dataclass(frozen=True)
class Verdict:
    """Whether B may become the default, and every reason why not.

    ``thin``: what the evidence lacks; ``against``: what it says.
    """

    thin: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def may_become_default(self) -> bool:
        """Whether nothing speaks against it on evidence enough."""
        return not self.thin and not self.against

    def lines(self) -> list[str]:
        """For a reader."""
        if self.may_become_default:
            return [
                "B may become the default: the means of image AUROC, pixel AP and IAP rise, and no "
                f"product loses more than {LOSS:g} in any of them."
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
    """The protocol's verdict on differences, each product's number of seeds given.

    ``absent``: products that one side alone has.
    """
    thin = []
    few = {name: count for name, count in seeds.items() if count < SEEDS}
    if few:
        told = ", ".join(f"{name} {count}" for name, count in few.items())
        fewest = min(few.values())
        word = "seed" if fewest == 1 else "seeds"
        thin.append(f"{fewest} {word} where {SEEDS} are asked for ({told})")
    if len(products) < PRODUCTS:
        thin.append("one product is no suite")
    if absent:
        thin.append(f"one side alone has {', '.join(absent)}")
    against = []
    for key, title in DECIDING.items():
        values = {name: found.get(key) for name, found in products.items()}
        if missing := [name for name, value in values.items() if value is None]:
            thin.append(f"{title} is not defined on {', '.join(missing)}")
        change = mean.get(key)
        if change is not None and round(change, _ROUNDED) <= 0:
            against.append(f"the mean of {title} does not rise ({change:+.3f})")
        against += [
            f"{name} loses {-value:.3f} of {title}"
            for name, value in values.items()
            if value is not None and round(value, _ROUNDED) < -LOSS
        ]
    return Verdict(tuple(thin), tuple(against))
