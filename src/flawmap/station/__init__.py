"""The station: a server beside the line that inspects, remembers, and shows what it decided."""
