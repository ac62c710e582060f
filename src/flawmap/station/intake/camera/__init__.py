"""Cameras and video files as sources of parts, read by OpenCV."""
