"""Tables of what inspectors learn from, and of models on trial beside the one in force."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, Moment


class LearningImage(Base):
    """An image of a good part that somebody gave to learn a product from."""

    __tablename__ = "learning_images"
    __table_args__ = (UniqueConstraint("product_id", "image"),)

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    image: Mapped[str] = mapped_column(String(64))  # SHA-256 of the file's bytes
    suffix: Mapped[str] = mapped_column(String(10))
    width: Mapped[int]
    height: Mapped[int]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Moment]


class TrialVerdict(Base):
    """What a model that is not in force says of a part, beside what the one in force says.

    `kind` is `compared` for reviewed parts, both models on the same stored image, or `shadow` for
    parts judged while the candidate ran in shadow.
    """

    __tablename__ = "trial_verdicts"
    __table_args__ = (UniqueConstraint("model_id", "kind", "part_id"),)

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    kind: Mapped[str] = mapped_column(String(8))
    part_id: Mapped[int] = mapped_column(ForeignKey("parts.id"), index=True)
    verdict: Mapped[str] = mapped_column(String(6))
    score: Mapped[float]
    present: Mapped[str] = mapped_column(String(6))  # verdict of the model in force
    present_score: Mapped[float]
    created_at: Mapped[Moment]
