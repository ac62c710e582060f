"""Inspected parts: their rows, images and maps."""
