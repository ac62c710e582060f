"""Rates, scores and latency of parts over time."""
