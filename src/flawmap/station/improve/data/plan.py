"""What a training or a refinement started now would learn from, and be compared on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import LearningImage, Model, Part, Product
from flawmap.station.improve.data.known import Known, known_by
from flawmap.station.improve.data.split import Reviewed, Split, split
from flawmap.station.improve.images import all_images
from flawmap.station.insight.sampling import in_sample, is_sampled

_COLUMNS = (
    *(Part.id, Part.image, Part.suffix, Part.number, Part.received_at, Part.decision),
    *(Part.height, Part.width, Part.verdict),
)


@dataclass
class Plan:
    """Given images, and reviewed parts by their side.

    `run`: the folder of the model in force, and `known` what it has learned from. `sampled_until`:
    the moment until which all parts of the random sample were decided on.
    """

    first: list[LearningImage] = field(default_factory=list)
    refused: list[LearningImage] = field(default_factory=list)
    split: Split = field(default_factory=Split)
    run: Path | None = None
    known: Known = field(default_factory=Known)
    sampled_until: int = 0

    @property
    def good(self) -> list[Reviewed]:
        """Confirmed good parts to train on anew, besides the given images."""
        given = {one.image for one in self.first}
        return [p for p in self.split.learned if p.decision == "good" and p.image not in given]

    @property
    def defective(self) -> list[Reviewed]:
        """Confirmed defective parts."""
        return [part for part in self.split.learned if part.decision == "reject"]

    @property
    def good_count(self) -> int:
        """Images of good parts to train on anew."""
        return len(self.first) + len(self.good)

    @property
    def new_given(self) -> list[LearningImage]:
        """Given images that the model in force does not know yet."""
        return [one for one in self.first if one.image not in self.known.images]

    @property
    def flagged_good(self) -> list[Reviewed]:
        """Good parts that were rejected or sent to review: a refinement trains on them.

        They were picked for their scores, so that they must not calibrate.
        """
        return [p for p in self._new_good if p.verdict != "good" and not is_sampled(p.image)]

    @property
    def calibrating(self) -> list[Reviewed]:
        """Good parts of the random sample that calibrate a refined model.

        Only parts before the first one of the sample that nobody has decided on: parts that were
        reviewed because they were flagged are no random sample. None of which another image is
        trained on.
        """
        trained = {p.number for p in (*self.flagged_good, *self.defective)} - {None}
        sampled = (p for p in self._new_good if is_sampled(p.image) and p.number not in trained)
        return [p for p in sampled if p.received_at < self.sampled_until]

    @property
    def _new_good(self) -> list[Reviewed]:
        images, numbers = self.known.images, self.known.numbers
        return [p for p in self.good if p.image not in images and p.number not in numbers]


def make_plan(session: Session, product: Product) -> Plan:
    """Decide what a training started now would learn from and be compared on."""
    parts = reviewed_parts(session, product.id)
    rejected = {one.image for one in parts if one.decision == "reject"}
    plan = Plan()
    for image in all_images(session, product.id):
        (plan.refused if image.image in rejected else plan.first).append(image)
    if product.model_id is None:  # nothing to compare with: learn from all
        plan.split = split(parts, share=0.0) if parts else Split()
        plan.split.learned += plan.split.compared
        plan.split.compared, plan.split.cut = [], None
        return plan
    model = session.get(Model, product.model_id)
    if model is not None:
        plan.run = Path(model.folder)
        plan.known = known_by(plan.run)
    images = plan.known.images | {one.image for one in plan.first}
    plan.split = split(parts, images, plan.known.numbers, after=plan.known.newest)
    plan.sampled_until = _sampled_until(session, product.id)
    return plan


def reviewed_parts(session: Session, product_id: int) -> list[Reviewed]:
    """Return the product's parts that reviewers decided on and whose image is stored."""
    query = select(*_COLUMNS).where(
        Part.product_id == product_id,
        Part.decision.in_(("good", "reject")),
        Part.has_image,
        Part.image.is_not(None),
        Part.height.is_not(None),
        Part.width.is_not(None),
    )
    return [
        Reviewed(
            part,
            image or "",
            suffix or "",
            number,
            at,
            decision or "",
            (high or 0, wide or 0),
            verdict,
        )
        for part, image, suffix, number, at, decision, high, wide, verdict in session.execute(query)
    ]


def _sampled_until(session: Session, product_id: int) -> int:
    """Return when the first part of the random sample was received that nobody has decided on."""
    open_ones = select(Part.received_at).where(
        Part.product_id == product_id,
        in_sample(),
        Part.decision.is_(None),
        Part.verdict.is_not(None),
    )
    first = session.scalar(open_ones.order_by(Part.received_at).limit(1))
    return 2**62 if first is None else first
