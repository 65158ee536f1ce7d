"""Drawn faces: a synthetic world with people, landmarks, attributes and groups."""
