"""Keys lose the scope `review`, by which no key was ever admitted to anything."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the word out of all keys' scopes; a key that had no other may do nothing."""
    op.execute(
        "UPDATE api_keys SET scopes = trim(replace(' ' || scopes || ' ', ' review ', ' ')) "
        "WHERE scopes LIKE '%review%'"
    )
