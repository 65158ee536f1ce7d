"""Held-out recognisers: embedders that took no part in masking, and what they still recognise."""
