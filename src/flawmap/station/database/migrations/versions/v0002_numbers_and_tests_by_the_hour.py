"""Numbers and tests by the hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("part_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "kept",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column(
            "values", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_kept")),
    )
    op.create_table(
        "drift_tests",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "product_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.String(length=16), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("tested", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("tested_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "state", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("ordered", sa.LargeBinary(), nullable=False),
        sa.Column(
            "curve", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("evidence", sa.Double(), nullable=False),
        sa.Column("impossible", sa.String(length=300), nullable=True),
        sa.Column("alarm_part_id", sa.BigInteger(), nullable=True),
        sa.Column("alarm_at", sa.BigInteger(), nullable=True),
        sa.Column("direction", sa.String(length=6), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["ended_by"], ["users.id"], name=op.f("fk_drift_tests_ended_by")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_drift_tests_product_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_tests")),
    )
    with op.batch_alter_table("drift_tests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_drift_tests_product_id_started_at"),
            ["product_id", "started_at"],
            unique=False,
        )

    op.create_table(
        "hour_counts",
        sa.Column(
            "product_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.String(length=100), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("review", sa.Integer(), nullable=False),
        sa.Column("reject", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("defects", sa.Integer(), nullable=False),
        sa.Column("sampled", sa.Integer(), nullable=False),
        sa.Column("scores", sa.LargeBinary(), nullable=False),
        sa.Column("latency", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_hour_counts_product_id")
        ),
        sa.PrimaryKeyConstraint("product_id", "hour", "line", name=op.f("pk_hour_counts")),
    )
    op.create_index(
        "ix_parts_reviewed",
        "parts",
        ["product_id", "received_at", "decision", "verdict", "line", "image"],
        unique=False,
        if_not_exists=True,
        sqlite_where=sa.text("decision IS NOT NULL"),
        postgresql_where=sa.text("decision IS NOT NULL"),
    )
