"""The drift test of each product, while parts arrive."""
