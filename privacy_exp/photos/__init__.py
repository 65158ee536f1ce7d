"""Whole photos: find faces, align, anonymise, paste back, look again, and list what a person should check."""
