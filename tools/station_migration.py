"""Write a migration from the difference between the newest migration and the tables in the code.

``python tools/station_migration.py WORDS...``: `reviews of lots` writes the next one, such as
``migrations/versions/v0005_reviews_of_lots.py``, or says that there is no difference. Read it, and
complete what a difference of tables cannot say, such as values for rows that exist. Migrations that
others may have run already are not changed any more: run the tool again after a merge.
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
TEMPLATE = '''"""{title}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    {code}
'''


def difference() -> tuple[str, str]:
    """Return the newest migration's revision, and code that leads from its tables to the code's."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/x.sqlite")
        upgrade(engine, "heads")  # by all migrations, not from the tables
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            newest = context.get_current_revision()
            script = produce_migrations(context, Base.metadata)
    assert newest is not None
    assert script.upgrade_ops is not None
    if script.upgrade_ops.is_empty():
        return newest, ""
    code = render_python_code(script.upgrade_ops, render_as_batch=True)
    code = code.replace("astext_type=Text()", "").split("###", 2)[-1].rpartition("# ###")[0]
    return newest, code.strip()


def main() -> None:
    """Write the migration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="+", help="what it does")
    words = parser.parse_args().words
    newest, code = difference()
    if not code:
        print(f"The tables are those of migration {newest}: there is nothing to write.")
        return
    revision = f"{int(newest) + 1:04}"
    path = VERSIONS / f"v{revision}_{'_'.join(words)}.py"
    title = " ".join(words).capitalize()
    text = TEMPLATE.format(title=title, revision=revision, before=newest, code=code)
    path.write_text(text, encoding="utf-8")
    for command in (["check", "--fix-only", "-q"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], check=True)
    print(path)


if __name__ == "__main__":
    main()
