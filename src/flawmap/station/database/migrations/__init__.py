"""Migrations of the station's database, run by Alembic in the order of their numbers."""
