"""Inspection of what reaches the station: products, the bounded queue, and stored answers."""
