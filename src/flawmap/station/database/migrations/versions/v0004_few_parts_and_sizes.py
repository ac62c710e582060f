"""Indices for searches that find few parts and for retention; the size of maps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    with op.batch_alter_table("parts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("map_bytes", sa.Integer(), nullable=True))
        batch_op.drop_index(batch_op.f("ix_parts_product_id_score"))
        batch_op.drop_index(batch_op.f("ix_parts_image"))
        batch_op.create_index(
            "ix_parts_image",
            ["image", "has_image", "bytes", "map_bytes", "reviewers"],
            unique=False,
        )
        batch_op.create_index(
            "ix_parts_area",
            ["largest_area", "id"],
            unique=False,
            sqlite_where=sa.text("largest_area IS NOT NULL"),
            postgresql_where=sa.text("largest_area IS NOT NULL"),
        )
        batch_op.create_index("ix_parts_line", ["line", "id"], unique=False)
        batch_op.create_index(
            "ix_parts_score",
            ["score", "id", "product_id", "verdict", "received_at", "line", "decision"],
            unique=False,
        )
        batch_op.create_index("ix_parts_source", ["source", "id"], unique=False)
        batch_op.create_index(
            "ix_parts_stored",
            ["verdict", "received_at", "id", "reviewers"],
            unique=False,
            sqlite_where=sa.text("has_image = 1"),
            postgresql_where=sa.text("has_image"),
        )
