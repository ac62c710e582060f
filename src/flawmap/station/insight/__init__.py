"""What the station knows about its parts as a whole: trends, drift, and what-if for thresholds."""
