"""Many cells: which there are, how far they have come, and how they share a machine."""
