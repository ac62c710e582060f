"""Delivery of verdicts to other systems: an outbox in the database, and threads that empty it."""
