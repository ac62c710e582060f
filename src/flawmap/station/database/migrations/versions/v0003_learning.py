"""Add images to learn from, and verdicts of models on trial."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "learning_images",
        sa.Column("id", _ID, nullable=False),
        sa.Column("product_id", _ID, nullable=False),
        sa.Column("image", sa.String(64), nullable=False),
        sa.Column("suffix", sa.String(10), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("user_id", _ID),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name="fk_learning_images_product_id"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_learning_images_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_learning_images"),
        sa.UniqueConstraint("product_id", "image", name="uq_learning_images_product_id_image"),
    )
    op.create_table(
        "trial_verdicts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("part_id", _ID, nullable=False),
        sa.Column("verdict", sa.String(6), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("present", sa.String(6), nullable=False),
        sa.Column("present_score", sa.Double(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_trial_verdicts_model_id"),
        sa.ForeignKeyConstraint(["part_id"], ["parts.id"], name="fk_trial_verdicts_part_id"),
        sa.PrimaryKeyConstraint("id", name="pk_trial_verdicts"),
        sa.UniqueConstraint(
            "model_id", "kind", "part_id", name="uq_trial_verdicts_model_id_kind_part_id"
        ),
    )
    op.create_index("ix_trial_verdicts_part_id", "trial_verdicts", ["part_id"])
