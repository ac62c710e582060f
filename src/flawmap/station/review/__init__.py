"""Reviews: which part comes next, decisions with history, locks, drawn defects, agreement."""
