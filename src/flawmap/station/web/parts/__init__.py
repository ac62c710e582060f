"""Pages of parts: the list with its search, one part, and their images."""
