"""Patterns of parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    with op.batch_alter_table("parts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("pattern", sa.LargeBinary(length=64), nullable=True))
