"""What the command line prints: progress, verdicts, tables."""
