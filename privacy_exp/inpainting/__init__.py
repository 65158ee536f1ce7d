"""Repainting what a mask hides: diffusion checkpoints, and the controls they have to beat."""
