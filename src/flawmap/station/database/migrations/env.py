"""Entry point of Alembic: runs migrations on the connection that `migrate.py` hands over."""

from alembic import context

if hasattr(context, "config"):  # Alembic runs this file; others only import it
    context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
    context.run_migrations()
