"""Add hourly roll-ups, and sum up the parts that are already there."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HOUR, _BINS = 3_600_000_000, 20
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEYS = ("product_id", "hour", "line", "model", "settings")


def upgrade() -> None:
    """Create the table and fill it."""
    table = op.create_table(
        "part_hours",
        sa.Column("product_id", _ID, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.String(100), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("settings", sa.String(16), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("review", sa.Integer(), nullable=False),
        sa.Column("reject", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("defects", sa.Integer(), nullable=False),
        sa.Column("score_sum", sa.Double(), nullable=False),
        sa.Column("score_squares", sa.Double(), nullable=False),
        sa.Column("p_values", sa.JSON().with_variant(JSONB, "postgresql"), nullable=False),
        sa.Column("total_ms", sa.Double(), nullable=False),
        sa.Column("slowest_ms", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name="fk_part_hours_product_id"),
        sa.PrimaryKeyConstraint(*_KEYS, name="pk_part_hours"),
    )
    op.create_index("ix_part_hours_hour", "part_hours", ["hour"])
    rows = [dict(row) for row in op.get_bind().execute(_sums()).mappings()]
    for row in rows:
        row["p_values"] = [int(row.pop(f"bin_{number}")) for number in range(_BINS)]
    if rows:
        op.bulk_insert(table, rows)


def _sums() -> sa.Select[Any]:
    parts = sa.table(
        "parts",
        *(
            sa.column(name)
            for name in ("product_id", "line", "model", "settings", "verdict", "total_ms")
        ),
        sa.column("received_at", sa.BigInteger),
        *(sa.column(name, sa.Float) for name in ("score", "p_value")),
        sa.column("defects", sa.Integer),
    )
    c = parts.c
    judged = c.verdict.is_not(None)

    def number(condition: Any) -> Any:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    def total(value: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(sa.case((judged, value), else_=0)), 0)

    keys = [
        c.product_id,
        (c.received_at - c.received_at % _HOUR).label("hour"),
        sa.func.coalesce(c.line, "").label("line"),
        c.model,
        c.settings,
    ]
    bins = [
        number(judged & (c.p_value * _BINS >= low) & (c.p_value * _BINS < high)).label(f"bin_{i}")
        for i, (low, high) in enumerate((i, i + 1 if i + 1 < _BINS else 99) for i in range(_BINS))
    ]
    return sa.select(
        *keys,
        *(number(c.verdict == word).label(word) for word in ("good", "review", "reject")),
        number(~judged).label("errors"),
        total(c.defects).label("defects"),
        total(c.score).label("score_sum"),
        total(c.score * c.score).label("score_squares"),
        sa.func.coalesce(sa.func.sum(c.total_ms), 0.0).label("total_ms"),
        sa.func.coalesce(sa.func.max(c.total_ms), 0.0).label("slowest_ms"),
        *bins,
    ).group_by(*(sa.text(str(place)) for place in range(1, len(keys) + 1)))
