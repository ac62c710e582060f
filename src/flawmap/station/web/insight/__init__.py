"""What the pages on trends and thresholds share."""
