"""Masks: which pixels are hidden, at one exact budget."""
