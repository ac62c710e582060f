"""What the process keeps in memory for a while: nothing here outlives a restart."""
