"""Write a migration from the difference between the newest migration and the tables in the code.

``python tools/station_migration.py NUMBER WORDS...``: `0003 reviews of lots` writes
``migrations/versions/v0003_reviews_of_lots.py``; read it, and complete what a difference of tables
cannot say, such as values for rows that exist. Before the first release, ``0001`` is written anew:
all tables but those that later migrations add.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from flawmap.station.database import migrations
from flawmap.station.database.migrate import upgrade
from flawmap.station.database.tables import Base

VERSIONS = Path(migrations.__file__).parent / "versions"
LATER = ("cursors", "drift_tests", "hour_counts", "kept")  # tables that 0002 adds
TEMPLATE = '''"""{title}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    {code}
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", help="such as 0003")
    parser.add_argument("words", nargs="+", help="what it does")
    given = parser.parse_args()
    first = given.number == "0001"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/x.sqlite")
        if not first:
            upgrade(engine, "heads")  # by all migrations, not from the tables
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_object": lambda item, name, kind, *_: (
                        not (
                            first and (name in LATER or getattr(item, "table", item).name in LATER)
                        )
                    ),
                },
            )
            script = produce_migrations(context, Base.metadata)
            assert script.upgrade_ops is not None
            code = render_python_code(script.upgrade_ops, render_as_batch=not first)
    code = code.replace("astext_type=Text()", "").split("###", 2)[-1].rpartition("# ###")[0].strip()
    path = VERSIONS / f"v{given.number}_{'_'.join(given.words)}.py"
    title = " ".join(given.words).capitalize()
    before = "None" if first else f'"{int(given.number) - 1:04}"'
    text = TEMPLATE.format(title=title, revision=given.number, before=before, code=code)
    path.write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "check", "--fix", "-q", str(path)], check=False)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(path)], check=True)
    print(path)


if __name__ == "__main__":
    main()
