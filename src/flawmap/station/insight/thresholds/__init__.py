"""What-if for thresholds and filters over stored parts, and applying them."""
