"""Retention: images and maps are removed after some time, or when they take too much space.

Rows stay for ever, with their verdicts, reviews and records. An image that several parts share
is removed with the last of them. What people decided on or drew on stays, unless they say
otherwise.
"""
