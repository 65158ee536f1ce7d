"""Intervals and tests in which people, not photos, are the sample."""
