"""Observers who adapt: what they learn, gather or undo before they look."""
