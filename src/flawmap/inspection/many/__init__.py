"""Inspection of many images by several processes, on this machine or on a Ray cluster."""
