"""Tables of products, the models that inspect them, and the versions of their settings."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from flawmap.station.database.tables.base import Base, Id, JsonObject, Moment


class Product(Base):
    """A product, or a view of it by one camera: what one inspector is for."""

    __tablename__ = "products"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(100), unique=True)
    rule: Mapped[str | None] = mapped_column(
        String(200)
    )  # regular expression that the part numbers of this product match as a whole
    # Ids of models, which name their product: a second foreign key would close a cycle.
    model_id: Mapped[int | None] = mapped_column(BigInteger)  # live; none: no inspector yet
    shadow_id: Mapped[int | None] = mapped_column(BigInteger)  # inspects the same, without effect
    created_at: Mapped[Moment]
    retired_at: Mapped[Moment | None]


class Model(Base):
    """A run folder that inspects a product, did so, or is a candidate to."""

    __tablename__ = "models"

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    run: Mapped[str] = mapped_column(String(16))  # run id: first digits of model.onnx's digest
    folder: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))  # candidate, live, retired, dropped
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Moment]


class SettingsVersion(Base):
    """Thresholds, filters and region with which a product was judged from a moment on."""

    __tablename__ = "settings_versions"
    __table_args__ = (UniqueConstraint("product_id", "number"),)

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    number: Mapped[int]  # 1, 2, ... within the product
    settings: Mapped[str] = mapped_column(String(16), index=True)  # as records name it
    model: Mapped[str] = mapped_column(String(64))  # digest of the model that they are for
    values: Mapped[JsonObject]
    comment: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Moment]
