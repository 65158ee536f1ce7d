"""Faces from disk or drawn: an index, pixels on demand, and a split within each identity."""
